#include "case.hpp"
#include "support/engine.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>

using namespace troupe;
using namespace troupe::conformance;

namespace {

/// The place of a broadcast element: `index` counts the elements of `shape`, aligned at the right.
std::int64_t place_in(const Shape& from, const Shape& shape, std::int64_t index) {
  std::int64_t at = 0;
  std::int64_t step = 1;
  for (std::size_t d = 0; d < from.size(); ++d) {
    const std::size_t inner = from.size() - 1 - d;
    const std::int64_t size = shape[shape.size() - 1 - d];
    if (from[inner] != 1) at += index % size * step;
    step *= from[inner];
    index /= size;
  }
  return at;
}

Doubles product(const Doubles& a, const Doubles& b) {
  Shape left = a.shape;
  Shape right = b.shape;
  if (left.size() == 1) left.insert(0, 1);
  if (right.size() == 1) right.push_back(1);
  const std::int64_t rows = left[left.size() - 2];
  const std::int64_t depth = left.back();
  const std::int64_t columns = right.back();
  Shape left_batch;
  Shape right_batch;
  for (std::size_t i = 0; i + 2 < left.size(); ++i) left_batch.push_back(left[i]);
  for (std::size_t i = 0; i + 2 < right.size(); ++i) right_batch.push_back(right[i]);
  const Shape batch = broadcast(left_batch, right_batch);
  Doubles y{batch, {}};
  for (std::int64_t n = 0; n < elements_in(batch); ++n) {
    const double* x = a.data.data() + place_in(left_batch, batch, n) * rows * depth;
    const double* w = b.data.data() + place_in(right_batch, batch, n) * depth * columns;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < columns; ++j) {
        double sum = 0;
        for (std::int64_t k = 0; k < depth; ++k) sum += x[i * depth + k] * w[k * columns + j];
        y.data.push_back(sum);
      }
  }
  if (a.shape.size() > 1) y.shape.push_back(rows);
  if (b.shape.size() > 1) y.shape.push_back(columns);
  return y;
}

Doubles convolved(std::span<const Doubles> in, const Conv2d& op) {
  const Shape& x = in[0].shape;
  const Shape& w = in[1].shape;
  Doubles y = zeros_of({x[0], w[0], op.places(x, w, 0), op.places(x, w, 1)});
  const std::int64_t per_group = w[0] / op.groups;
  for (std::int64_t at = 0; at < y.size(); ++at) {
    const std::int64_t j = at % y.shape[3];
    const std::int64_t i = at / y.shape[3] % y.shape[2];
    const std::int64_t o = at / (y.shape[3] * y.shape[2]) % w[0];
    const std::int64_t n = at / (y.shape[3] * y.shape[2] * w[0]);
    double sum = in.size() > 2 ? in[2][o] : 0;
    for (std::int64_t c = 0; c < w[1]; ++c)
      for (std::int64_t k = 0; k < w[2]; ++k)
        for (std::int64_t l = 0; l < w[3]; ++l) {
          const std::int64_t row = i * op.stride[0] + k * op.dilation[0] - op.padding[0];
          const std::int64_t column = j * op.stride[1] + l * op.dilation[1] - op.padding[1];
          if (row < 0 || row >= x[2] || column < 0 || column >= x[3]) continue;
          const std::int64_t channel = o / per_group * w[1] + c;
          sum += in[0][((n * x[1] + channel) * x[2] + row) * x[3] + column] *
                 in[1][((o * w[1] + c) * w[2] + k) * w[3] + l];
        }
    y[at] = sum;
  }
  return y;
}

}  // namespace

TEST_CASE("matmul multiplies vectors, matrices and batches", "[conformance]") {
  Generator random(1);
  std::vector<std::pair<Shape, Shape>> choices{
      {{5}, {5}},
      {{3, 4}, {4}},
      {{4}, {4, 3}},
      {{3, 4}, {4, 2}},
      {{2, 3, 4}, {4, 2}},
      {{2, 2, 3}, {2, 3, 2}},
      {{2, 1, 2, 3}, {3, 3, 2}},
      {{3}, {2, 3, 2}},
      {{2, 2, 3}, {3}},
      {{1, 1}, {1, 1}},
      {{2, 0}, {0, 3}}};
  for (int i = 0; i < 6; ++i) {
    // Two stacks of matrices, one of which leaves out a leading size or has 1 there.
    const Shape sizes = draw_shape(random, 4, 6);
    const Shape batch = draw_shape(random, 2, 3);
    const Shape a{batch[0], batch[1], sizes[0], sizes[1]};
    const Shape b =
        i % 2 ? Shape{batch[1], sizes[1], sizes[2]} : Shape{batch[0], 1, sizes[1], sizes[2]};
    choices.emplace_back(a, b);
  }
  for (const auto& [a, b] : choices) {
    Case test{"matmul " + to_string(a) + to_string(b), {draw(random, a), draw(random, b)}};
    test.call = [](std::span<const Tensor> in) { return std::vector{matmul(in[0], in[1])}; };
    test.reference = [](std::span<const Doubles> in) { return std::vector{product(in[0], in[1])}; };
    test.scale = 8;
    CHECK(check(test) == "");
  }
}

TEST_CASE("linear multiplies by the transposed weight", "[conformance]") {
  Generator random(2);
  for (const Shape& shape : {Shape{4}, Shape{3, 4}, Shape{2, 3, 4}, Shape{0, 4}})
    for (const bool biased : {false, true}) {
      Case test{"linear " + to_string(shape), {draw(random, shape), draw(random, {3, 4})}};
      if (biased) test.inputs.push_back(draw(random, {3}));
      test.call = [](std::span<const Tensor> in) {
        return std::vector{linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor())};
      };
      test.reference = [](std::span<const Doubles> in) {
        Doubles turned = zeros_of({4, 3});
        for (std::int64_t i = 0; i < 12; ++i) turned[i % 4 * 3 + i / 4] = in[1][i];
        Doubles y = product(in[0], turned);
        for (std::int64_t i = 0; i < y.size(); ++i) y[i] += in.size() > 2 ? in[2][i % 3] : 0;
        return std::vector{y};
      };
      test.scale = 8;
      CHECK(check(test) == "");
    }
}

TEST_CASE("conv2d sums over its windows", "[conformance]") {
  Generator random(3);
  struct Choice {
    Shape x, w;
    Conv2d op;
    bool biased;
  };
  const std::vector<Choice> choices{
      {{1, 1, 4, 4}, {2, 1, 3, 3}, {}, true},
      {{2, 2, 4, 3}, {2, 2, 2, 2}, {{}, {1, 1}, {1, 0}, {1, 1}, 1}, false},
      {{1, 2, 5, 5}, {2, 1, 3, 2}, {{}, {2, 1}, {1, 1}, {1, 2}, 2}, true},
      {{1, 4, 3, 3}, {4, 2, 1, 1}, {{}, {2, 2}, {0, 0}, {1, 1}, 2}, false},
      {{1, 1, 6, 5}, {3, 1, 3, 3}, {{}, {1, 1}, {1, 1}, {1, 1}, 1}, true}};
  for (const Choice& choice : choices) {
    Case test{"conv2d " + to_string(choice.x), {draw(random, choice.x), draw(random, choice.w)}};
    if (choice.biased) test.inputs.push_back(draw(random, {choice.w[0]}));
    const Conv2d op = choice.op;
    test.call = [op](std::span<const Tensor> in) {
      return std::vector{conv2d(
          in[0],
          in[1],
          in.size() > 2 ? in[2] : Tensor(),
          op.stride,
          op.padding,
          op.dilation,
          op.groups)};
    };
    test.reference = [op](std::span<const Doubles> in) { return std::vector{convolved(in, op)}; };
    test.scale = 16;
    CHECK(check(test) == "");
  }
}

// As many channels as make the CPU go by tiles. Too many for differences: the gradients are held
// against sums of doubles in tests/cpu.
TEST_CASE("conv2d sums over the windows of many channels", "[conformance]") {
  Generator random(8);
  for (const std::int64_t padding : {0, 1, 2}) {
    Case test{"conv2d by tiles", {draw(random, {4, 24, 9, 7}), draw(random, {26, 24, 3, 3})}};
    Conv2d op;
    op.padding = {padding, padding};
    test.call = [op](std::span<const Tensor> in) {
      return std::vector{conv2d(in[0], in[1], Tensor(), op.stride, op.padding)};
    };
    test.reference = [op](std::span<const Doubles> in) { return std::vector{convolved(in, op)}; };
    test.differentiable = test.twice = false;
    test.scale = 256;
    CHECK(check(test) == "");
  }
}

TEST_CASE("attention mixes the values by the softmax of the scores", "[conformance]") {
  Generator random(4);
  for (const bool causal : {false, true})
    for (const bool masked : {false, true}) {
      if (causal && masked) continue;
      Case test{"attention"};
      test.inputs = {draw(random, {2, 3, 4}), draw(random, {2, 5, 4}), draw(random, {2, 5, 2})};
      if (masked) test.inputs.push_back(draw(random, {3, 5}));
      test.call = [causal](std::span<const Tensor> in) {
        return std::vector{scaled_dot_product_attention(
            in[0], in[1], in[2], in.size() > 3 ? in[3] : Tensor(), 0, causal)};
      };
      test.reference = [causal](std::span<const Doubles> in) {
        Doubles y = zeros_of({2, 3, 2});
        for (std::int64_t row = 0; row < 6; ++row) {
          const std::int64_t n = row / 3;
          double weights[5] = {};
          double sum = 0;
          for (std::int64_t s = 0; s < (causal ? row % 3 + 1 : 5); ++s) {
            double score = in.size() > 3 ? in[3][row % 3 * 5 + s] : 0;
            for (std::int64_t e = 0; e < 4; ++e)
              score += in[0][row * 4 + e] * in[1][(n * 5 + s) * 4 + e] / 2;
            sum += weights[s] = std::exp(score);
          }
          for (std::int64_t v = 0; v < 2; ++v)
            for (std::int64_t s = 0; s < 5; ++s)
              y[row * 2 + v] += weights[s] / sum * in[2][(n * 5 + s) * 2 + v];
        }
        return std::vector{y};
      };
      test.ulp_max = 16;
      test.scale = 4;
      CHECK(check(test) == "");
    }
}

// An expanded axis has the stride 0, which is also where the search for evenly lying rows begins.
TEST_CASE("linear reads rows of an expanded axis", "[conformance]") {
  const test::Engine engine;
  const Tensor few = Tensor::copy_of<float>(test::numbers(8, 1), {2, 1, 4});
  const Tensor weight = Tensor::copy_of<float>(test::numbers(8, 2), {2, 4});
  const Tensor rows = expand(few, {2, 3, 4});
  CHECK(
      linear(rows, weight).to_vector<float>() ==
      linear(Tensor::copy_of<float>(rows.to_vector<float>(), {2, 3, 4}), weight)
          .to_vector<float>());
}
