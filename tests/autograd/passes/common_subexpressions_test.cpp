#include "graphs.hpp"

#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/op_info.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>

using namespace troupe;

namespace {

const Passes passes = Passes::until(Pass::common_subexpressions);

/// An op of the user's that neither shows nor compares what it holds.
struct Scaled : OpDefaults {
  static constexpr OpId id{65'720};
  static constexpr std::string_view name = "scaled";
  float factor = 1;
  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
};

}  // namespace

TEST_CASE("the same op on the same values is computed once", "[autograd][passes]") {
  test::Engine engine;
  // The numbers are constants of their own at each call.
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {tanh(in[0] * 2 + 1), exp(in[0] * 2 + 1), in[0] * 2 + 1};
  };
  CHECK(
      test::names(test::capture(function, {{5}}, passes)) ==
      std::vector<std::string>{"mul", "add", "tanh", "exp"});
  CHECK(test::same_bits(function, {{5}}, passes));
}

TEST_CASE("ops with other attributes, and random ones, are different", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction sums = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {sum(in[0], {0}, false), sum(in[0], {1}, false), sum(in[0], {0}, false)};
  };
  CHECK(test::capture(sums, {{3, 3}}, passes).op_count() == 2);
  CHECK(test::same_bits(sums, {{3, 3}}, passes));

  const GraphFunction draws = [](std::span<const Tensor>) -> std::vector<Tensor> {
    return {uniform({8}, 0, 1), uniform({8}, 0, 1)};
  };
  Program program = test::capture(draws, {}, passes);
  CHECK(program.op_count() == 2);
  const std::vector<Tensor> drawn = program.run({});
  CHECK(drawn[0].to_vector<float>() != drawn[1].to_vector<float>());
}

TEST_CASE("what an op holds and does not show tells it from every other", "[autograd][passes]") {
  test::Engine engine;
  cpu::add_kernel(
      engine.device,
      OpInfoOf<Scaled>::info,
      [](const void* op,
         std::span<const cpu::HostTensor> in,
         std::span<const cpu::HostTensor> out) {
        out[0].as<float>()[0] = in[0].as<float>()[0] * static_cast<const Scaled*>(op)->factor;
      });
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {apply(Scaled{{}, 2}, in[0]), apply(Scaled{{}, 3}, in[0])};
  };
  CHECK(test::capture(function, {{1}}, passes).op_count() == 2);
  CHECK(test::same_bits(function, {{1}}, passes));
}

TEST_CASE("parameters that are set to one tensor both get it", "[autograd][passes]") {
  test::Engine engine;
  Parameter a(zeros({3})), b(zeros({3}));
  const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    a.set(in[0] * 2);
    b.set(in[0] * 2);
    return {in[0] + 0};
  };
  Program program = test::capture(function, {{3}}, passes);
  const std::vector<Tensor> inputs = test::inputs_for({{3}});
  (void)program.run(inputs)[0].value();
  const std::vector<float> expected = (inputs[0] * 2).to_vector<float>();
  CHECK(a.tensor().to_vector<float>() == expected);
  CHECK(b.tensor().to_vector<float>() == expected);
}
