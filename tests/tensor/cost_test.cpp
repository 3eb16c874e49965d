#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/cost.hpp>
#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/pooled.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

using namespace troupe;

namespace {

Meta floats(const Shape& shape) { return {DType::float32, shape}; }

/// Of an op on these inputs, whose outputs its own rule tells.
template <class Op>
Cost cost(const Op& attributes, const std::vector<Meta>& inputs) {
  const OpRef op = make_op(attributes);
  Metas outputs;
  op->info().infer(op->attributes(), inputs, outputs);
  return cost_of(*op, inputs, outputs);
}

void check(const Cost& cost, double flops, double bytes) {
  CHECK(cost.flops == flops);
  CHECK(cost.bytes == bytes);
}

}  // namespace

TEST_CASE("products cost two for each factor pair, and their operands once", "[tensor]") {
  const test::Engine engine;
  check(cost(Matmul{}, {floats({2, 3}), floats({3, 4})}), 48, 4 * (6 + 12 + 8));
  check(cost(Matmul{}, {floats({5, 2, 3}), floats({3, 4})}), 240, 4 * (30 + 12 + 40));
  check(cost(Matmul{}, {floats({3}), floats({3})}), 6, 4 * (3 + 3 + 1));
  check(cost(Linear{}, {floats({2, 3}), floats({4, 3})}), 48, 4 * (6 + 12 + 8));
  check(cost(Linear{}, {floats({2, 3}), floats({4, 3}), floats({4})}), 56, 4 * (6 + 12 + 4 + 8));
  check(cost(Matmul{}, {{DType::bfloat16, {2, 3}}, {DType::bfloat16, {3, 4}}}), 48, 2 * 26);
}

TEST_CASE("a convolution and its gradients cost the same products", "[tensor]") {
  const test::Engine engine;
  // Two groups of three channels, taps 3×2, to 4 channels of 5×3 places.
  const Shape x{2, 6, 10, 4}, weight{4, 3, 3, 2}, y{2, 4, 5, 3};
  const double products = 2 * (2 * 4 * 5 * 3) * (3 * 3 * 2);
  const double bytes = 4 * (2 * 6 * 10 * 4 + 4 * 3 * 3 * 2 + 2 * 4 * 5 * 3);
  const Dims stride{2, 1}, padding{1, 0}, one{1, 1};
  check(cost(Conv2d{{}, stride, padding, one, 2}, {floats(x), floats(weight)}), products, bytes);
  check(
      cost(Conv2d{{}, stride, padding, one, 2}, {floats(x), floats(weight), floats({4})}),
      products + 120,
      bytes + 16);
  check(
      cost(Conv2dBackwardInput{{}, stride, padding, one, 2, x}, {floats(y), floats(weight)}),
      products,
      bytes);
  check(
      cost(Conv2dBackwardWeight{{}, stride, padding, one, 2, weight}, {floats(y), floats(x)}),
      products,
      bytes);
}

TEST_CASE("attention costs its products, and no matrix of scores", "[tensor]") {
  const test::Engine engine;
  const Meta query = floats({2, 3, 4, 5}), key = floats({2, 3, 6, 5}), value = floats({2, 3, 6, 7});
  const Meta y = floats({2, 3, 4, 7}), logarithms = floats({2, 3, 4});
  const double bytes = 4 * 6 * (4 * 5 + 6 * 5 + 6 * 7 + 4 * 7 + 4);
  check(cost(Attention{}, {query, key, value}), 2 * 6 * (4 * 6) * (5 + 7), bytes);
  // Queries 0 to 3 look at 1, 2, 3 and 4 keys.
  check(cost(Attention{{}, true, 1}, {query, key, value}), 2 * 6 * 10 * (5 + 7), bytes);
  check(
      cost(AttentionBackward{{}, true, 1}, {y, query, key, value, y, logarithms}),
      2 * 6 * 10 * (3 * 5 + 2 * 7),
      bytes + 4 * 6 * (4 * 7 + 4 * 5 + 6 * 5 + 6 * 7));
  // Three keys, five queries: 1 + 2 + 3 + 3 + 3.
  check(
      cost(Attention{{}, true, 1}, {floats({5, 2}), floats({3, 2}), floats({3, 2})}),
      2 * 12 * (2 + 2),
      4 * (10 + 6 + 6 + 10 + 5));
  check(
      cost(Attention{}, {floats({2, 4, 3, 3, 5})}),
      2 * 6 * 16 * 10,
      4 * (2 * 4 * 3 * 3 * 5 + 2 * 4 * 3 * 5 + 2 * 3 * 4));
}

TEST_CASE("other ops cost their elements", "[tensor]") {
  const test::Engine engine;
  check(cost(Tanh{}, {floats({7, 3})}), 21, 4 * 42);
  check(cost(Add{}, {floats({7, 3}), floats({3})}), 21, 4 * (21 + 3 + 21));
  check(cost(Lt{}, {floats({8}), floats({8})}), 8, 4 * 16 + 8);
  check(cost(Softmax{}, {floats({2, 5})}), 10, 4 * 20);
  check(cost(Sum{}, {floats({2, 5})}), 10, 4 * 11);
  // Of a table of 1,000 rows, three are read.
  check(cost(Embedding{}, {{DType::int64, {3}}, floats({1000, 16})}), 48, 8 * 3 + 4 * (48 + 48));
  check(cost(Reshape{{}, {3, 7}}, {floats({7, 3})}), 0, 0);
}

TEST_CASE("a fused op costs all of its ops, and the bytes around it", "[tensor]") {
  const test::Engine engine;
  Fused fused;
  fused.head = make_op(Linear{});
  fused.head_inputs = 2;
  fused.segment.inputs = 2;
  fused.segment.steps.push_back({make_op(Add{}), {0, 1, 0}});
  fused.segment.steps.push_back({make_op(Relu{}), {2, 0, 0}});
  const std::vector<Meta> inputs{floats({2, 3}), floats({4, 3}), floats({2, 4})};
  const Meta output = floats({2, 4});
  const OpRef op = make_op(fused);
  check(cost_of(*op, inputs, {&output, 1}), 48 + 8 + 8, 4 * (6 + 12 + 8 + 8));
}

TEST_CASE("a convolution that pools costs both", "[tensor]") {
  const test::Engine engine;
  MaxPool2dValues pooling;
  pooling.kernel_size = pooling.stride = {2, 2};
  Pooled pooled{make_op(Conv2d{}), make_op(pooling)};
  const std::vector<Meta> inputs{floats({1, 2, 6, 6}), floats({4, 2, 3, 3})};
  const Meta output = floats({1, 4, 2, 2});
  const OpRef op = make_op(pooled);
  // What is pooled is neither written nor read.
  check(cost_of(*op, inputs, {&output, 1}), 2 * 64 * 18 + 64, 4 * (72 + 72 + 16));
}
