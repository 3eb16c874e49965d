#include "profiler.hpp"

#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/program.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/op_info.hpp>

#include <catch2/catch_approx.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <vector>

using namespace troupe;

namespace {

const Meta metas[] = {{DType::float32, {128, 64}}, {DType::float32, {128, 32}}};

std::vector<Tensor> inputs(std::uint64_t seed) {
  return {
      Tensor::copy_of<float>(test::numbers(128 * 64, seed), {128, 64}),
      Tensor::copy_of<float>(test::numbers(128 * 32, seed + 1), {128, 32})};
}

/// A layer that is trained to give what it is told.
struct Layer {
  Parameter weight{Tensor::copy_of<float>(test::numbers(32 * 64, 1), {32, 64})};
  Parameter bias{Tensor::copy_of<float>(test::numbers(32, 2), {32})};
  OpRef rule = make_op(SgdUpdate{});
  Tensor scalars = Tensor::copy_of<double>(std::vector<double>{1e-2, 1}, {2});

  std::vector<Tensor> step(std::span<const Tensor> in) {
    for (Parameter* p : {&weight, &bias}) p->zero_grad();
    const Tensor error = relu(linear(in[0], weight.tensor(), bias.tensor())) - in[1];
    const Tensor loss = mean(error * error);
    backward(loss);
    for (Parameter* p : {&weight, &bias}) p->apply(rule, 0, scalars);
    return {loss};
  }
};

struct Explosive : OpDefaults {
  static constexpr OpId id{65'711};
  static constexpr std::string_view name = "explosive";
  void infer(std::span<const Meta> in, Metas& out) const { out.push_back(in[0]); }
};

}  // namespace

template <>
const OpInfo troupe::OpInfoOf<Explosive>::info = troupe::detail::make_op_info<Explosive>();

TEST_CASE("a measured step tells of every op, in times that add up", "[autograd]") {
  for (const unsigned threads : {1u, 2u}) {
    test::Engine engine(threads);
    Layer layer;
    Program program = Program::capture([&](auto in) { return layer.step(in); }, metas);
    (void)program.run(inputs(3))[0].item();
    CHECK(program.profile().steps == 0);
    CHECK(program.profile().ops.empty());

    program.measure(true);
    for (std::uint64_t i = 0; i < 5; ++i) (void)program.run(inputs(i))[0].item();
    program.measure(false);
    (void)program.run(inputs(3))[0].item();

    const ProgramProfile profile = program.profile();
    CHECK(profile.steps == 5);
    REQUIRE(profile.ops.size() == program.op_count());
    for (std::size_t o = 0; o < profile.ops.size(); ++o) {
      const ProgramProfile::Op& op = profile.ops[o];
      CHECK(op.name == name_of(program.graph().ops[o]));
      CHECK(op.seconds > 0);
      CHECK(op.began >= 0);
      CHECK(op.began < op.ended);
    }
    CHECK(profile.seconds >= profile.seconds_in_ops());
    // What lies between two ops is little, but a thread may be taken away there.
    CHECK(profile.seconds_in_ops() > 0.02 * profile.seconds);
    // One at a time.
    std::vector<std::pair<double, double>> spans;
    for (const auto& op : profile.ops) spans.emplace_back(op.began, op.ended);
    std::sort(spans.begin(), spans.end());
    CHECK(spans.front().first == 0);
    for (std::size_t i = 1; i < spans.size(); ++i) CHECK(spans[i].first >= spans[i - 1].second);

    const auto first = std::find_if(profile.ops.begin(), profile.ops.end(), [](const auto& op) {
      return op.name.starts_with("linear + ");
    });
    REQUIRE(first != profile.ops.end());
    CHECK(first->cost.flops > 2 * 128 * 64 * 32);
    CHECK(first->dtype == DType::float32);
    CHECK(first->vjp_of.empty());
    CHECK(std::any_of(profile.ops.begin(), profile.ops.end(), [](const auto& op) {
      return op.name == "matmul" && op.vjp_of == "linear";
    }));
    CHECK(profile.ops.back().late);
    CHECK(profile.ops.back().name == "sgd_update");
  }
}

TEST_CASE("measured steps give the bits of others", "[autograd]") {
  const auto losses = [](unsigned threads, bool measured, std::uint32_t steps_in_flight) {
    test::Engine engine(threads);
    Layer layer;
    Program program = Program::capture(
        [&](auto in) { return layer.step(in); }, metas, {.steps_in_flight = steps_in_flight});
    std::vector<Tensor> asked;
    for (std::uint64_t i = 0; i < 12; ++i) {
      program.measure(measured && i % 4 != 0);
      asked.push_back(program.run(inputs(i))[0]);
    }
    std::vector<float> seen = layer.weight.tensor().to_vector<float>();
    for (const Tensor& loss : asked) seen.push_back(loss.item<float>());
    CHECK(program.profile().steps == (measured ? 9 : 0));
    return seen;
  };
  const auto expected = losses(1, false, 1);
  for (const unsigned threads : {1u, 2u, 4u})
    for (const std::uint32_t steps_in_flight : {1u, 3u})
      CHECK(losses(threads, true, steps_in_flight) == expected);
}

TEST_CASE("a measured step that fails does not count", "[autograd]") {
  test::Engine engine;
  cpu::add_kernel(engine.device, OpInfoOf<Explosive>::info, [](const void*, auto in, auto out) {
    if (in[0].template as<float>()[0] > 0) throw std::runtime_error("it went off");
    out[0].template as<float>()[0] = in[0].template as<float>()[0];
  });
  const Meta one{DType::float32, {1}};
  Program program = Program::capture(
      [](std::span<const Tensor> in) -> std::vector<Tensor> { return {apply(Explosive{}, in[0])}; },
      std::span(&one, 1));
  program.measure(true);
  for (const float number : {-1.0f, 1.0f, -1.0f}) {
    const Tensor x = Tensor::copy_of<float>(std::span(&number, 1), {1});
    const Tensor y = program.run(std::span(&x, 1))[0];
    if (number > 0)
      CHECK_THROWS_AS(y.item(), Error);
    else
      CHECK(y.item() == number);
  }
  CHECK(program.profile().steps == 2);
}

TEST_CASE("a function's profile is that of the program measured most", "[autograd]") {
  test::Engine engine;
  CompiledFunction function(
      [](std::span<const Tensor> in) -> std::vector<Tensor> { return {tanh(in[0])}; });
  const auto run = [&](std::int64_t size, int times) {
    const Tensor x = ones({size});
    for (int i = 0; i < times; ++i) (void)function(std::span(&x, 1))[0].to_vector<float>();
  };
  run(3, 9);
  function.measure(true);
  run(3, 1);
  run(4, 2);  // captured while it measures
  const ProgramProfile profile = function.profile();
  CHECK(profile.steps == 2);
  REQUIRE(profile.ops.size() == 1);
  CHECK(profile.ops[0].result == "float32[4]");
}

TEST_CASE("an op's bytes are what it must read and write", "[autograd]") {
  test::Engine engine;
  const Meta meta{DType::float32, {8, 4}};
  const Program program = Program::capture(
      [](std::span<const Tensor> in) -> std::vector<Tensor> {
        const Tensor row = sum(in[0], {0}, true);
        return {
            in[0] * in[0],
            matmul(in[0], transpose(expand(row, {8, 4}), 0, 1)),
            concat({in[0], expand(row, {8, 4})}, 0)};
      },
      std::span(&meta, 1),
      {.passes = Passes::none()});
  const std::vector<Cost> costs = costs_of(program.graph());
  const auto bytes_of = [&](std::string_view name) {
    for (std::size_t o = 0; o < costs.size(); ++o)
      if (program.graph().ops[o].info().name == name) return costs[o].bytes;
    return -1.0;
  };
  CHECK(bytes_of("mul") == 2 * 128);                // read once, though named twice
  CHECK(bytes_of("concat") == 128 + 16 + 2 * 128);  // a row, repeated
  CHECK(bytes_of("expand") == 0);
}
