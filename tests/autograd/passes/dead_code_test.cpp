#include "graphs.hpp"

#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

TEST_CASE("ops that nothing depends on go", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor unused = exp(in[0]);
    (void)(unused + 1);
    return {tanh(in[0])};
  };
  CHECK(test::capture(function, {{2, 3}}, Passes::none()).op_count() == 3);
  CHECK(
      test::names(test::capture(function, {{2, 3}}, Passes::until(Pass::dead_code))) ==
      std::vector<std::string>{"tanh"});
}

TEST_CASE("a dead random call keeps its number", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor>) -> std::vector<Tensor> {
    (void)uniform({4}, 0, 1);
    return {uniform({4}, 0, 1)};
  };
  const auto draw = [&](Passes passes) {
    engine.scope.random() = {.seed = 5, .calls = 0};
    Program program = test::capture(function, {}, passes);
    const auto first = program.run({})[0].to_vector<float>();
    const auto second = program.run({})[0].to_vector<float>();
    CHECK(first != second);
    return std::pair(first, second);
  };
  CHECK(draw(Passes::none()) == draw(Passes::all()));
}

TEST_CASE("what is only bound for dead ops is let go of", "[autograd][passes]") {
  test::Engine engine;
  const Tensor live = zeros({1000});
  const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    (void)(in[0] + live);
    return {tanh(in[0])};
  };
  CHECK(test::capture(function, {{1000}}, Passes::none()).graph().constants.size() == 1);
  CHECK(test::capture(function, {{1000}}, Passes::all()).graph().constants.empty());
}
