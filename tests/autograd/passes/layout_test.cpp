#include "graphs.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/pooled.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

using namespace troupe;

namespace {

const Passes passes = Passes::until(Pass::layout);

/// How many ops give images with channels last.
std::int64_t turned(const Program& program) {
  return std::count_if(
      program.graph().ops.begin(), program.graph().ops.end(), [](const Graph::Op& op) {
        const OpInstance& product = op.info().id == Pooled::id
                                        ? *static_cast<const Pooled*>(op.op->attributes())->product
                                        : *op.op;
        if (product.info().id == Conv2d::id)
          return static_cast<const Conv2d*>(product.attributes())->channels_last;
        return product.info().id == Conv2dBackwardInput::id &&
               static_cast<const Conv2dBackwardInput*>(product.attributes())->channels_last;
      });
}

/// Whether convolutions go by tiles here, which want channels last.
bool has_tiles() {
  const Meta x{DType::bfloat16, {2, 32, 8, 8}}, weight{DType::bfloat16, {32, 32, 3, 3}};
  const Meta operands[] = {x, weight};
  const OpRef op = make_op(Conv2d{{}, {1, 1}, {1, 1}, {1, 1}, 1});
  return Scope::current().device().prefers_channels_last(*op, operands, x);
}

}  // namespace

// Goal: images that only convolutions read stay as tiles make and want them; no bit changes.
TEST_CASE("images stay with channels last between convolutions", "[autograd][passes]") {
  test::Engine engine(GENERATE(1u, 2u));
  const Parameter first(test::drawn({32, 1, 3, 3}, 1));
  const Parameter second(test::drawn({32, 32, 3, 3}, 2));
  const Parameter third(test::drawn({8, 32, 3, 3}, 3));
  const Parameter offsets(test::drawn({32}, 4));
  const Dims one{1, 1};
  const auto network = [&](const Tensor& in, bool pools) {
    const Autocast autocast;
    Tensor x = relu(conv2d(in, first.tensor(), offsets.tensor(), one, one));
    if (pools) x = max_pool2d(x, {2});
    x = relu(conv2d(x, second.tensor(), {}, one, one));
    if (pools) x = max_pool2d(x, {2});
    return conv2d(x, third.tensor(), {}, one, one);
  };
  for (const bool pools : {false, true}) {
    const GraphFunction answer = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
      const NoGrad frozen;
      return {network(in[0], pools)};
    };
    const GraphFunction step = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
      const Tensor y = network(in[0], pools);
      const Tensor loss = sum(y * y);
      const Tensor leaves[] = {first.tensor(), second.tensor(), third.tensor(), offsets.tensor()};
      std::vector<Tensor> results = grad(std::span(&loss, 1), leaves);
      results.push_back(y);
      return results;
    };
    for (const GraphFunction& function : {answer, step}) {
      CHECK(test::same_bits(function, {{3, 1, 16, 12}}, passes));
      CHECK(test::same_bits(function, {{3, 1, 16, 12}}, Passes::all()));
    }
    if (!has_tiles()) continue;
    CHECK(turned(test::capture(answer, {{3, 1, 16, 12}}, passes)) == 2);
    if (pools) CHECK(turned(test::capture(step, {{3, 1, 16, 12}}, passes)) == 2);
  }
}

TEST_CASE("what others read of images lies in planes", "[autograd][passes]") {
  test::Engine engine;
  const Parameter weight(test::drawn({32, 32, 3, 3}, 1));
  const auto conv = [&](const Tensor& x) {
    const Autocast autocast;
    return conv2d(x, weight.tensor(), {}, {1, 1}, {1, 1});
  };
  const GraphFunction handed_out = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {conv(in[0])};
  };
  const GraphFunction summed = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    const Tensor x = conv(in[0]);
    return {sum(x, {0, 2, 3}, false), sum(conv(x))};
  };
  const GraphFunction added = [&](std::span<const Tensor> in) -> std::vector<Tensor> {
    return {sum(conv(conv(in[0]) + in[0]))};
  };
  for (const GraphFunction& function : {handed_out, summed, added}) {
    CHECK(turned(test::capture(function, {{2, 32, 8, 8}}, passes)) == 0);
    CHECK(test::same_bits(function, {{2, 32, 8, 8}}, Passes::all()));
  }
}
