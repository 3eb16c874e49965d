#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/core/error.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

namespace {

constexpr int layers = 48;
const Shape shape{256, 64};

/// A deep network of which every layer waits for the way back; with dropout, whose masks must be
/// the same again.
GraphFunction deep(Parameter& weight) {
  return [&weight](std::span<const Tensor> in) -> std::vector<Tensor> {
    weight.zero_grad();
    Tensor x = in[0];
    for (int i = 0; i < layers; ++i) x = dropout(tanh(linear(x, weight.tensor())) + x * 0.5, 0.1);
    const Tensor loss = sum(x * x);
    backward(loss);
    return {loss, weight.grad()};
  };
}

Program within(const GraphFunction& function, std::uint64_t bytes) {
  const Meta metas[] = {{DType::float32, shape}};
  return Program::capture(function, metas, {.memory_bytes = bytes});
}

}  // namespace

TEST_CASE("a step keeps to its budget by computing again", "[autograd][passes]") {
  test::Engine engine(2);
  Parameter weight(Tensor::copy_of<float>(test::numbers(64 * 64, 9), {64, 64}));
  const GraphFunction function = deep(weight);
  Program free = within(function, 0);
  const std::vector<Tensor> inputs = test::inputs_for({shape});
  const auto bits = [&](Program& program) {
    engine.scope.random() = {.seed = 3, .calls = 0};
    const std::vector<Tensor> results = program.run(inputs);
    return std::pair(results[0].to_vector<float>(), results[1].to_vector<float>());
  };
  const auto expected = bits(free);
  for (const std::uint64_t part : {2, 3}) {
    const std::uint64_t budget = free.peak_bytes() / part;
    Program program = within(function, budget);
    CHECK(program.peak_bytes() <= budget);
    CHECK(program.op_count() > free.op_count());
    // Each layer at most twice: computing again is linear in the graph.
    CHECK(program.op_count() < 2 * free.op_count());
    CHECK(bits(program) == expected);
  }
}

TEST_CASE("a budget that is no bound changes nothing", "[autograd][passes]") {
  test::Engine engine;
  Parameter weight(Tensor::copy_of<float>(test::numbers(64 * 64, 9), {64, 64}));
  const Program free = within(deep(weight), 0);
  CHECK(within(deep(weight), free.peak_bytes()).op_count() == free.op_count());
}

TEST_CASE("a budget too small for any plan is told with what holds most", "[autograd][passes]") {
  test::Engine engine;
  Parameter weight(Tensor::copy_of<float>(test::numbers(64 * 64, 9), {64, 64}));
  try {
    (void)within(deep(weight), 100'000);
    FAIL("a budget of 100,000 bytes was taken");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
    const std::string what = error.what();
    CHECK(what.find("float32[256, 64] (0.1 MiB)") != std::string::npos);
    CHECK(what.find("0.1 MiB it may take") != std::string::npos);
    CHECK(what.find("memory_bytes") != std::string::npos);
    CHECK(what.find("recomputation_test.cpp") != std::string::npos);
  }
}
