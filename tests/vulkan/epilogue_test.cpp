#include "epilogue.hpp"

#include "convolution.hpp"
#include "gemm.hpp"
#include "machine.hpp"
#include "support/engine.hpp"

#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/conv2d.hpp>
#include <troupe/tensor/ops/gelu.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/ops/mul.hpp>
#include <troupe/tensor/ops/relu.hpp>
#include <troupe/tensor/ops/where.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdint>
#include <string>
#include <vector>

// Goal: a product that ends with an epilogue has the bits of the product followed by the ops.
namespace troupe::vulkan {
namespace {

using test::Machine;

Value empty_like(Machine& machine, const Value& value) {
  return ValueBody::make(value->meta(), machine.gpu.allocate(value->meta().bytes()));
}

template <class Op>
Segment::Step step(const Op& op, std::initializer_list<std::uint16_t> from) {
  Segment::Step step;
  step.op = make_op(op);
  std::copy(from.begin(), from.end(), step.from);
  return step;
}

/// gelu(x) · other + x, or relu(x) where nothing else is read.
struct Ending {
  Epilogue epilogue;

  explicit Ending(const Tensor& other) {
    Segment& segment = epilogue.segment;
    segment.inputs = other ? 2 : 1;
    if (other) {
      epilogue.other = other.value();
      segment.steps = {step(Gelu{}, {0}), step(Mul{}, {2, 1}), step(Add{}, {3, 0})};
    } else {
      segment.steps = {step(Relu{}, {0})};
    }
  }
  [[nodiscard]] static Tensor applied(const Tensor& x, const Tensor& other) {
    return other ? gelu(x) * other + x : relu(x);
  }
};

struct Sizes {
  std::int64_t batch, rows, columns, depth;
};

Value product_of(
    Machine& machine,
    const Sizes& sizes,
    const Tensor& left,
    const Tensor& right,
    const Tensor& bias,
    const Epilogue& epilogue,
    const Value& like) {
  const auto n = [](std::int64_t x) { return static_cast<std::uint32_t>(x); };
  const Value inputs[] = {left.value(), right.value()};
  const Value out = empty_like(machine, like);
  const OpRef op = make_op(Matmul{});
  const Launch launch{op.get(), inputs, {&out, 1}, 0, 0};
  Encoder encoder(machine.gpu, launch, machine.gpu.queue());
  Product product;
  product.left = inputs[0];
  product.right = inputs[1];
  if (bias) product.bias = bias.value();
  product.epilogue = &epilogue;
  product.rows = n(sizes.rows);
  product.columns = n(sizes.columns);
  product.depth = n(sizes.depth);
  product.left_layout = {n(sizes.depth), 1};
  product.right_layout = {1, n(sizes.columns)};
  product.batch[0] = {n(sizes.batch), n(sizes.rows * sizes.depth), n(sizes.depth * sizes.columns)};
  product.batch_rank = 1;
  encode_product(encoder, product);
  return out;
}

}  // namespace

TEST_CASE("a matrix product ends with an epilogue", "[vulkan]") {
  Machine machine(test::way(GENERATE(false, true)));
  // Straight from memory, by panels, in slices of k, turned over, in a batch.
  const Sizes sizes = GENERATE(
      Sizes{1, 5, 7, 9},
      Sizes{1, 96, 130, 100},
      Sizes{1, 16, 24, 4096},
      Sizes{1, 200, 5, 31},
      Sizes{3, 33, 34, 35});
  CAPTURE(sizes.batch, sizes.rows, sizes.columns, sizes.depth);
  const Tensor left = test::drawn({sizes.batch, sizes.rows, sizes.depth}, 1);
  const Tensor right = test::drawn({sizes.batch, sizes.depth, sizes.columns}, 2);
  const Tensor bias = test::drawn({sizes.columns}, 3);
  const Tensor product = matmul(left, right);
  const Tensor others[] = {
      Tensor(),
      test::drawn({sizes.batch, sizes.rows, sizes.columns}, 4),
      test::drawn({sizes.columns}, 5),
      test::drawn({1}, 6)};
  bool biased = false;
  for (const Tensor& other : others) {
    biased = !biased;
    CAPTURE(biased, other ? to_string(other.meta()) : "nothing");
    const Tensor want = Ending::applied(biased ? product + bias : product, other);
    const Value got = product_of(
        machine,
        sizes,
        left,
        right,
        biased ? bias : Tensor(),
        Ending(other).epilogue,
        product.value());
    CHECK(Tensor::constant(got).to_vector<float>() == want.to_vector<float>());
  }
  CHECK(machine.counts().validation_messages == 0);
}

TEST_CASE("an epilogue is part of the product's one dispatch, compiled once", "[vulkan]") {
  Options options = test::vulkan_options();
  options.cache_folder.clear();
  Machine machine(options);
  const Sizes sizes{1, 5, 70, 9};
  const Tensor left = test::drawn({1, 5, 9}, 1), right = test::drawn({1, 9, 70}, 2);
  const Tensor other = test::drawn({1, 5, 70}, 3);
  const auto run = [&](const Tensor& beside) {
    (void)product_of(machine, sizes, left, right, Tensor(), Ending(beside).epilogue, other.value());
    machine.gpu.queue().wait(machine.gpu.queue().sent());
  };
  (void)left.value();
  (void)right.value();
  const std::uint64_t compiled = machine.counts().shaders_compiled;
  run(other);
  CHECK(machine.counts().shaders_compiled == compiled + 1);
  const std::uint64_t dispatches = machine.counts().dispatches;
  run(other);
  CHECK(machine.counts().dispatches == dispatches + 1);
  CHECK(machine.counts().shaders_compiled == compiled + 1);
  run(test::drawn({70}, 4));  // lies elsewhere: another shader
  CHECK(machine.counts().shaders_compiled == compiled + 2);
}

TEST_CASE("a mask of bytes chooses among a product's elements", "[vulkan]") {
  Machine machine(test::way(GENERATE(false, true)));
  const Sizes sizes{1, 6, 20, 9};
  const Tensor left = test::drawn({1, 6, 9}, 1), right = test::drawn({1, 9, 20}, 2);
  std::vector<std::uint8_t> bits(120);
  for (std::size_t i = 0; i < bits.size(); ++i) bits[i] = i % 3 == 0;
  const Value mask = machine.gpu.upload(
      Meta{DType::boolean, {1, 6, 20}}, std::as_bytes(std::span<const std::uint8_t>(bits)));
  Epilogue epilogue;
  epilogue.segment.inputs = 2;
  epilogue.segment.steps = {step(Mul{}, {0, 0}), step(Choose{}, {1, 0, 2})};
  epilogue.other = mask;
  const Tensor product = matmul(left, right);
  const Value got = product_of(machine, sizes, left, right, Tensor(), epilogue, product.value());
  const std::vector<float> from = product.to_vector<float>();
  const std::vector<float> have = Tensor::constant(got).to_vector<float>();
  for (std::size_t i = 0; i < from.size(); ++i)
    CHECK(have[i] == (bits[i] ? from[i] : from[i] * from[i]));
}

TEST_CASE("a convolution ends with an epilogue", "[vulkan]") {
  Machine machine(test::way(GENERATE(false, true)));
  const Tensor x = test::drawn({2, 3, 9, 8}, 1);
  const Tensor weight = test::drawn({5, 3, 3, 3}, 2);
  const Tensor bias = test::drawn({5}, 3);
  const Tensor y = conv2d(x, weight, bias);
  const Tensor others[] = {Tensor(), test::drawn({2, 5, 7, 6}, 4), test::drawn({1}, 5)};
  for (const Tensor& other : others) {
    CAPTURE(other ? to_string(other.meta()) : "nothing");
    const Ending ending(other);
    const Value inputs[] = {x.value(), weight.value(), bias.value()};
    const Value out = empty_like(machine, y.value());
    const OpRef op = make_op(Conv2d{});
    const Launch launch{op.get(), inputs, {&out, 1}, 0, 0};
    Encoder encoder(machine.gpu, launch, machine.gpu.queue());
    Convolution conv;
    conv.x = inputs[0];
    conv.left = inputs[1];
    conv.bias = inputs[2];
    conv.epilogue = &ending.epilogue;
    ConvolutionParams& p = conv.params;
    p.rows = 5;
    p.columns = 2 * 7 * 6;
    p.depth = 27;
    p.column_y = 7;
    p.column_x = 6;
    p.column_outer = 3 * 9 * 8;
    p.k_y = p.k_x = 3;
    p.k_outer = 9 * 8;
    p.height = 9;
    p.width = 8;
    p.x_group = 3 * 9 * 8;
    p.c_row = 7 * 6;
    p.c_outer = 5 * 7 * 6;
    conv.panels.rows = 5;
    conv.panels.depth = conv.panels.k_inner = conv.panels.row_step = 27;
    encode_convolution(encoder, conv);
    const Tensor want = Ending::applied(y, other);
    CHECK(Tensor::constant(out).to_vector<float>() == want.to_vector<float>());
  }
  CHECK(machine.counts().validation_messages == 0);
}

TEST_CASE("an epilogue whose parts do not fit is refused", "[vulkan]") {
  Machine machine;
  const Sizes sizes{1, 5, 7, 9};
  const Tensor left = test::drawn({1, 5, 9}, 1), right = test::drawn({1, 9, 7}, 2);
  const Tensor product = matmul(left, right);
  const auto code = [&](const Epilogue& epilogue) {
    return test::thrown_by([&] {
             return product_of(machine, sizes, left, right, Tensor(), epilogue, product.value());
           })
        .code();
  };
  CHECK(code(Ending(test::drawn({5}, 3)).epilogue) == ErrorCode::internal);  // of the other axis
  Epilogue none;
  none.segment.inputs = 1;
  CHECK(code(none) == ErrorCode::internal);
  Epilogue missing = Ending(test::drawn({7}, 3)).epilogue;
  missing.other.reset();
  CHECK(code(missing) == ErrorCode::internal);
}

}  // namespace troupe::vulkan
