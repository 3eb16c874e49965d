#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

using namespace troupe;

namespace {

const Passes passes = Passes::all();

const Fused& fused(const Graph::Op& op) { return *static_cast<const Fused*>(op.op->attributes()); }

}  // namespace

// The bits of all kinds of chains and folds are compared in tests/conformance/fusion_test.cpp.

TEST_CASE("a chain whose result is folded is not written", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {mean(square(in[0] - in[1]))};
  };
  for (const Shape& shape : {Shape{5, 7}, Shape{300, 400}}) {
    const Program program = test::capture(function, {shape, {shape[1]}}, passes);
    CHECK(test::names(program) == std::vector<std::string>{"sub + square + mean"});
    const Graph::Op& op = program.graph().ops[0];
    CHECK(op.outputs.size() == 1);
    CHECK(fused(op).segment_outputs() == 0);
    CHECK(program.graph().metas[op.outputs[0]].shape == Shape{});
    CHECK(op.nodes[2].op == "mean");
    CHECK(op.nodes[2].number == 2);
    CHECK(program.peak_bytes() == 0);
    CHECK(test::same_bits(function, {shape, {shape[1]}}, passes));
  }
}

TEST_CASE("a chain may be folded and read by others", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  // As a gradient goes on and is summed for a bias.
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor gradient = where(in[0] > 0, in[1], 0.0) * 2;
    return {sum(gradient, 0), matmul(in[2], gradient)};
  };
  for (const std::int64_t rows : {3, 130, 5000})
    for (const std::int64_t columns : {1, 10, 100, 256}) {
      const std::initializer_list<Shape> shapes{{rows, columns}, {rows, columns}, {4, rows}};
      const Program program = test::capture(function, shapes, passes);
      CHECK(test::names(program) == std::vector<std::string>{"gt + where + mul + sum", "matmul"});
      CHECK(program.graph().ops[0].outputs.size() == 2);
      CHECK(fused(program.graph().ops[0]).folded_output() == 0);
      CHECK(test::same_bits(function, shapes, passes));
    }
}

TEST_CASE("wide rows are folded by columns where nothing is written", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction read = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = tanh(in[0] + in[1]) * 2;
    return {sum(y, 0), y};
  };
  const GraphFunction folded = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {read(in)[0]};
  };
  for (const std::int64_t rows : {3, 130, 5000}) {
    const std::initializer_list<Shape> shapes{{rows, 700}, {700}};
    CHECK(
        test::names(test::capture(read, shapes, passes)) ==
        std::vector<std::string>{"add + tanh + mul", "sum"});
    CHECK(
        test::names(test::capture(folded, shapes, passes)) ==
        std::vector<std::string>{"add + tanh + mul + sum"});
    CHECK(test::same_bits(folded, shapes, passes));
  }
}

TEST_CASE("a chain through dropout is folded as it is made", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {sum(dropout(tanh(in[0]), 0.25), 0)};
  };
  for (const std::int64_t rows : {3, 130, 5000}) {
    CHECK(
        test::names(test::capture(function, {{rows, 100}}, passes)) ==
        std::vector<std::string>{"dropout_mask", "tanh + dropout + sum"});
    CHECK(test::same_bits(function, {{rows, 100}}, passes));
  }
}

TEST_CASE("one op before a fold is a chain", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {sum(in[0] * in[0], {1}), cast(sum(cast(in[0], DType::float64), {0}), DType::float32)};
  };
  CHECK(
      test::names(test::capture(function, {{50, 60}}, passes)) ==
      std::vector<std::string>{"mul + sum", "cast + sum", "cast"});
  CHECK(test::same_bits(function, {{50, 60}}, passes));
}

TEST_CASE("of two folds the second reads what the chain wrote", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = exp(in[0]) + 1;
    return {sum(y, 0), amax(y, 1)};
  };
  CHECK(
      test::names(test::capture(function, {{50, 60}}, passes)) ==
      std::vector<std::string>{"exp + add + sum", "amax"});
  CHECK(test::same_bits(function, {{50, 60}}, passes));
}

TEST_CASE("a fold of what is no chain is left alone", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor product = matmul(in[0], in[1]);
    const Tensor five = reshape(exp(in[2]) * 2, {2, 3, 2, 3, 2});
    return {
        sum(tanh(product), 0),           // an epilogue has the chain
        sum(softmax(in[0], -1), 0),      // no elementwise op
        sum(five, 0),                    // a view of the chain
        cumsum(exp(in[0]), 0),           // no fold
        sum(in[0], 0),                   // no chain
        sum(five + 1, {0, 2, 4}, true),  // too many groups of axes
    };
  };
  const std::initializer_list<Shape> shapes{{33, 20}, {20, 50}, {72}};
  const Program program = test::capture(function, shapes, passes);
  for (const Graph::Op& op : program.graph().ops)
    if (op.info().family == OpFamily::fused) CHECK(!fused(op).fold);
  CHECK(test::same_bits(function, shapes, passes));
}

TEST_CASE("the gradient of a row is summed where it is made", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  Parameter gain(Tensor::copy_of<float>(test::numbers(30, 3), {30}));
  const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor loss = sum(tanh(in[0] * gain.tensor()) * in[1]);
    const Tensor of[] = {gain.tensor()};
    return grad(std::span(&loss, 1), of);
  };
  const std::initializer_list<Shape> shapes{{200, 30}, {200, 30}};
  const Program program = test::capture(function, shapes, passes);
  REQUIRE(program.op_count() > 0);
  const Graph::Op* last = nullptr;
  for (const Graph::Op& op : program.graph().ops)
    if (op.info().family == OpFamily::fused) last = &op;
  REQUIRE(last);
  CHECK(name_of(*last).ends_with("mul + sum"));
  CHECK(fused(*last).segment_outputs() == 0);
  CHECK(test::same_bits(function, shapes, passes));
}
