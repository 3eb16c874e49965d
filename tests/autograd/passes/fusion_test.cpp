#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

using namespace troupe;

namespace {

const Passes passes = Passes::until(Pass::fusion);

const Fused& fused(const Graph::Op& op) { return *static_cast<const Fused*>(op.op->attributes()); }

}  // namespace

// The bits of all kinds of chains are compared in tests/conformance/fusion_test.cpp.

TEST_CASE("a chain of elementwise ops is one op", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {tanh(in[0] * in[1]) + in[0]};
  };
  const Program program = test::capture(function, {{5, 7}, {7}}, passes);
  CHECK(test::names(program) == std::vector<std::string>{"mul + tanh + add"});
  const Graph::Op& op = program.graph().ops[0];
  CHECK(op.inputs.size() == 2);
  CHECK(op.outputs.size() == 1);
  // What it was made of keeps its line and its number.
  CHECK(op.nodes[1].number == 1);
  CHECK(op.nodes[1].where.line == op.nodes[0].where.line);
  CHECK(test::same_bits(function, {{5, 7}, {7}}, passes));
}

TEST_CASE("what others read is handed out by the chain", "[autograd][passes]") {
  test::Engine engine;
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = exp(in[0]);
    const Tensor z = y * 2;
    return {sum(y), tanh(z), y};
  };
  const Program program = test::capture(function, {{4, 4}}, passes);
  CHECK(test::names(program) == std::vector<std::string>{"exp + mul + tanh", "sum"});
  CHECK(fused(program.graph().ops[0]).segment.outputs.size() == 2);
  CHECK(test::same_bits(function, {{4, 4}}, passes));
}

TEST_CASE("casts are steps of a chain", "[autograd][passes]") {
  test::Engine engine;
  // To 16 bits and back, with all three read: elements of two widths pass through one launch.
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = exp(in[0]);
    const Tensor narrow = cast(y, DType::bfloat16);
    const Tensor back = cast(narrow, DType::float32) + in[1];
    const Tensor halves = cast(cast(back, DType::float16), DType::float64);
    return {cast(halves, DType::float32) * 2, cast(narrow, DType::float32)};
  };
  for (const Shape& shape : {Shape{3, 5}, Shape{40, 200}}) {
    const Program program = test::capture(function, {shape, {shape[1]}}, passes);
    CHECK(program.op_count() == 1);
    CHECK(test::same_bits(function, {shape, {shape[1]}}, passes));
  }
}

TEST_CASE("a chain goes through dropout, whose mask is drawn before it", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {dropout(dropout(in[0] * 2, 0.25) + in[1], 0.5) * 3};
  };
  for (const Shape& shape : {Shape{3, 5}, Shape{40, 2000}}) {
    const Program program = test::capture(function, {shape, {shape[1]}}, passes);
    CHECK(
        test::names(program) ==
        std::vector<std::string>{
            "dropout_mask", "dropout_mask", "mul + dropout + add + dropout + mul"});
    CHECK(test::same_bits(function, {shape, {shape[1]}}, passes));
  }
}

TEST_CASE("no chain waits for itself", "[autograd][passes]") {
  test::Engine engine;
  // From the first op a way leads through a sum, and through an op of another shape, to the last.
  const GraphFunction through_sum = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor y = exp(in[0]);
    return {tanh(y - sum(y, {1}, true))};
  };
  CHECK(
      test::names(test::capture(through_sum, {{4, 4}}, passes)) ==
      std::vector<std::string>{"exp", "sum", "sub + tanh"});
  CHECK(test::same_bits(through_sum, {{4, 4}}, passes));

  const GraphFunction through_shape = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor row = exp(in[1]) + 1;                 // [4]
    const Tensor wide = tanh(in[0] + row);             // [4, 4]
    const Tensor other = row * sum(wide, {0}, false);  // [4], after `wide`
    return {wide, other * row};
  };
  const Program program = test::capture(through_shape, {{4, 4}, {4}}, passes);
  CHECK(
      test::names(program) ==
      std::vector<std::string>{"exp + add", "add + tanh", "sum", "mul + mul"});
  CHECK(test::same_bits(through_shape, {{4, 4}, {4}}, passes));
}

TEST_CASE("a long chain is cut where the device wants it", "[autograd][passes]") {
  test::Engine engine;
  // Each result is read again at the end: more values than the processor keeps at once, and more
  // outputs than a launch has.
  const GraphFunction function = [](std::span<const Tensor> in) -> std::vector<Tensor> {
    std::vector<Tensor> all{in[0]};
    for (int i = 0; i < 1000; ++i) all.push_back(all.back() * in[1] + 0.5);
    Tensor total = all[0];
    for (const Tensor& one : all) total = total + one;
    return {total};
  };
  for (const Shape& shape : {Shape{16}, Shape{300}, Shape{5000}}) {
    const Program program = test::capture(function, {shape, shape}, passes);
    CHECK(program.op_count() < 200);
    const FusionLimits limits = engine.device.fusion_limits(elements_in(shape));
    for (const Graph::Op& op : program.graph().ops)
      CHECK(op.inputs.size() + op.outputs.size() <= limits.operands_max);
    CHECK(test::same_bits(function, {shape, shape}, passes));
  }
}

TEST_CASE("updates and what reads them are left alone", "[autograd][passes]") {
  test::Engine engine;
  Parameter weight(ones({8}));
  const GraphFunction function = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    weight.set(weight.tensor() * 2 + in[0]);
    return {in[0] + 1};
  };
  Program program = test::capture(function, {{8}}, passes);
  const std::vector<Tensor> inputs = test::inputs_for({{8}});
  (void)program.run(inputs)[0].value();
  CHECK(weight.tensor().to_vector<float>() == (ones({8}) * 2 + inputs[0]).to_vector<float>());
}

TEST_CASE("compiling is linear in the graph", "[autograd][passes]") {
  test::Engine engine;
  const auto ops_of = [](int links) {
    const GraphFunction function = [links](std::span<const Tensor> in) -> std::vector<Tensor> {
      Tensor x = in[0];
      for (int i = 0; i < links; ++i) x = sum(x * x + 1, {0}, true) + x;
      return {x};
    };
    const auto begun = std::chrono::steady_clock::now();
    const Program program = test::capture(function, {{4, 4}}, Passes::all());
    (void)program;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  };
  (void)ops_of(100);
  const double small = ops_of(1'000);
  const double large = ops_of(10'000);  // 40,000 ops
  CHECK(large < 60 * small);            // 10, were the machine quiet; 100, were it quadratic
}
