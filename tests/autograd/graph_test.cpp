#include "passes/graphs.hpp"

#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

TEST_CASE("a graph says what was captured", "[autograd]") {
  test::Engine engine;
  Parameter weight(ones({4, 3}));
  const Tensor live = ones({4});
  const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {linear(in[0], weight.tensor(), live)};
  };
  const Program program = test::capture(function, {{2, 3}}, Passes::none());
  const Graph& graph = program.graph();
  REQUIRE(graph.ops.size() == 1);
  CHECK(name_of(graph.ops[0]) == "linear");
  CHECK(graph.source_of(graph.ops[0].inputs[0]) == "the program's input 0, float32[2, 3]");
  CHECK(graph.source_of(graph.ops[0].inputs[1]) == "the parameter float32[4, 3]");
  CHECK(graph.source_of(graph.ops[0].inputs[2]) == "the tensor float32[4] that the capture bound");
  CHECK(graph.to_string() == "0  linear(%0, %1, %2) -> %3 float32[2, 4]\n");
  CHECK(program.to_string() == graph.to_string());
}

TEST_CASE("a fused op is shown by the names of its ops", "[autograd]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {tanh(exp(in[0]))};
  };
  CHECK(
      test::capture(function, {{2}}, Passes::all()).to_string() ==
      "0  exp + tanh(%0) -> %2 float32[2]\n");
}
