#include "support/adder.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/program.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/exchange.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <memory>
#include <vector>

using namespace troupe;

namespace {

/// y = (sum over processes of x) · 2, and z, which has nothing to do with it.
Program two_ways(const std::shared_ptr<test::Adder>& adder, std::span<const Tensor> inputs) {
  const Meta metas[] = {inputs[0].meta()};
  return Program::capture(
      [&](std::span<const Tensor> x) {
        Tensor chain = x[0];
        for (int i = 0; i < 20; ++i) chain = matmul(chain, x[0]);
        const std::vector<std::vector<Tensor>> mine{{x[0]}};
        const Tensor sum = exchange(adder, 3, mine)[0];
        return std::vector<Tensor>{sum * 2.0, chain};
      },
      metas);
}

}  // namespace

TEST_CASE("a program goes on with other ops while an exchange is under way", "[autograd]") {
  test::Engine engine(GENERATE(1U, 2U));
  const auto adder = std::make_shared<test::Adder>(engine.system, 1.0F);
  const std::vector<Tensor> inputs{Tensor::copy_of<float>(std::vector<float>{1, 0, 0, 1}, {2, 2})};
  Program program = two_ways(adder, inputs);
  CHECK(adder->order.empty());  // a capture runs nothing
  const std::vector<Tensor> outputs = program.run(inputs);
  // It was begun although it was called last, and the rest does not wait for it.
  engine.system.wait_until([&] { return adder->begun(3); }, "the exchange");
  adder->finish(3);
  CHECK(outputs[0].to_vector<float>() == std::vector<float>{4, 2, 2, 4});
  CHECK(outputs[1].to_vector<float>() == std::vector<float>{1, 0, 0, 1});
}

TEST_CASE("an exchange is begun before other ops that are ready", "[autograd]") {
  test::Engine engine;
  const auto adder = std::make_shared<test::Adder>(engine.system, 1.0F);
  adder->at_once = true;
  const std::vector<Tensor> inputs{Tensor::copy_of<float>(std::vector<float>{1, 0, 0, 1}, {2, 2})};
  std::vector<std::uint32_t>& order = adder->order;
  Program program = Program::capture(
      [&](std::span<const Tensor> x) {
        // Both are asked for at the end, the first is ready early.
        const Tensor early = x[0] + x[0];
        Tensor late = early;
        for (int i = 0; i < 5; ++i) late = matmul(late, x[0]);
        const std::vector<std::vector<Tensor>> second{{late}};
        const std::vector<std::vector<Tensor>> first{{early}};
        const Tensor b = exchange(adder, 2, second)[0];
        const Tensor a = exchange(adder, 1, first)[0];
        return std::vector<Tensor>{a, b};
      },
      std::vector{inputs[0].meta()});
  const std::vector<Tensor> outputs = program.run(inputs);
  CHECK(outputs[0].to_vector<float>() == std::vector<float>{3, 1, 1, 3});
  CHECK(outputs[1].to_vector<float>() == std::vector<float>{3, 1, 1, 3});
  CHECK(order == std::vector<std::uint32_t>{1, 2});
}

TEST_CASE("two exchanges of the same tensors are two, in each step", "[autograd]") {
  test::Engine engine;
  const auto adder = std::make_shared<test::Adder>(engine.system, 1.0F);
  adder->at_once = true;
  const std::vector<Tensor> inputs{Tensor::copy_of<float>(std::vector<float>{1, 2}, {2})};
  Program program = Program::capture(
      [&](std::span<const Tensor> x) {
        const std::vector<std::vector<Tensor>> mine{{x[0]}};
        return std::vector<Tensor>{exchange(adder, 1, mine)[0], exchange(adder, 1, mine)[0]};
      },
      std::vector{inputs[0].meta()});
  for (int i = 0; i < 3; ++i) (void)program.run(inputs)[1].to_vector<float>();
  CHECK(adder->order.size() == 6);
}

TEST_CASE("a program's step whose exchange fails fails with its reason", "[autograd]") {
  test::Engine engine;
  const auto adder = std::make_shared<test::Adder>(engine.system, 1.0F);
  const std::vector<Tensor> inputs{Tensor::copy_of<float>(std::vector<float>{1, 0, 0, 1}, {2, 2})};
  Program program = two_ways(adder, inputs);
  const std::vector<Tensor> failed = program.run(inputs);
  engine.system.wait_until([&] { return adder->begun(3); }, "the exchange");
  adder->finish(3, Error(ErrorCode::peer_down, "peer 'b' is gone"));
  try {
    (void)failed[0].to_vector<float>();
    FAIL("it did not throw");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::peer_down);
    CHECK(error.op() == "exchange");
  }
  // The next step begins anew.
  const std::vector<Tensor> outputs = program.run(inputs);
  engine.system.wait_until([&] { return adder->begun(3); }, "the exchange");
  adder->finish(3);
  CHECK(outputs[0].to_vector<float>() == std::vector<float>{4, 2, 2, 4});
}
