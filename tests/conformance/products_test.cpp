#include "case.hpp"
#include "support/engine.hpp"

#include <troupe/autograd/backward.hpp>
#include <troupe/autograd/parameter.hpp>
#include <troupe/tensor/creation.hpp>

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

namespace {

/// softmax(query · keyᵀ / √E + mask) · value for queries, keys and values [heads, places,
/// features].
Doubles attention_of(
    const Doubles& query,
    const Doubles& key,
    const Doubles& value,
    bool causal,
    const Doubles* mask = nullptr) {
  const std::int64_t heads = query.shape[0];
  const std::int64_t queries = query.shape[1];
  const std::int64_t keys = key.shape[1];
  const std::int64_t features = query.shape[2];
  const std::int64_t width = value.shape[2];
  Doubles y = zeros_of({heads, queries, width});
  for (std::int64_t row = 0; row < heads * queries; ++row) {
    const std::int64_t n = row / queries;
    std::vector<double> weights;
    double sum = 0;
    for (std::int64_t s = 0; s < (causal ? std::min(keys, row % queries + 1) : keys); ++s) {
      double score = mask ? (*mask)[row % queries * keys + s] : 0;
      for (std::int64_t e = 0; e < features; ++e)
        score += query[row * features + e] * key[(n * keys + s) * features + e] /
                 std::sqrt(static_cast<double>(features));
      weights.push_back(std::exp(score));
      sum += weights.back();
    }
    for (std::int64_t v = 0; v < width; ++v)
      for (std::size_t s = 0; s < weights.size(); ++s)
        y[row * width + v] +=
            weights[s] / sum * value[(n * keys + static_cast<std::int64_t>(s)) * width + v];
  }
  return y;
}

}  // namespace

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
        return std::vector{
            attention_of(in[0], in[1], in[2], causal, in.size() > 3 ? &in[3] : nullptr)};
      };
      test.ulp_max = 16;
      test.scale = 4;
      CHECK(check(test) == "");
    }
}

// Blocks that are not full, several of them, results wider than one workgroup's, fewer keys than
// queries, and nothing at all.
TEST_CASE("attention goes through any number of places by blocks", "[conformance]") {
  Generator random(5);
  struct Sizes {
    std::int64_t queries, keys, features, values;
  };
  for (const Sizes size :
       {Sizes{70, 133, 5, 66}, Sizes{40, 17, 70, 3}, Sizes{3, 0, 2, 2}, Sizes{0, 3, 2, 2}})
    for (const bool causal : {false, true}) {
      CAPTURE(size.queries, size.keys, causal);
      Case test{"attention by blocks"};
      test.inputs = {
          draw(random, {2, size.queries, size.features}, -1, 1),
          draw(random, {2, size.keys, size.features}, -1, 1),
          draw(random, {2, size.keys, size.values}, -1, 1)};
      test.call = [causal](std::span<const Tensor> in) {
        return std::vector{scaled_dot_product_attention(in[0], in[1], in[2], {}, 0, causal)};
      };
      test.reference = [causal](std::span<const Doubles> in) {
        return std::vector{attention_of(in[0], in[1], in[2], causal)};
      };
      test.ulp_max = 32;
      test.scale = 1;
      test.differentiable = false;  // differences of so many elements take minutes: see below
      CHECK(check(test) == "");
    }
}

// Gradients of several blocks, against those of the products and the softmax that attention is.
TEST_CASE("attention's gradients are those of its products", "[conformance]") {
  const test::Engine engine;
  struct Sizes {
    std::int64_t queries, keys, features, values;
  };
  for (const Sizes size : {Sizes{70, 133, 5, 66}, Sizes{40, 17, 70, 3}, Sizes{3, 0, 2, 2}})
    for (const bool causal : {false, true}) {
      CAPTURE(size.queries, size.keys, causal);
      const auto drawn = [](std::int64_t places, std::int64_t features, std::uint64_t seed) {
        const auto count = static_cast<std::size_t>(2 * places * features);
        return requires_grad(
            Tensor::copy_of<float>(test::numbers(count, seed), {2, places, features}));
      };
      const std::vector<Tensor> in{
          drawn(size.queries, size.features, 1),
          drawn(size.keys, size.features, 2),
          drawn(size.keys, size.values, 3)};
      const Tensor dy = drawn(size.queries, size.values, 4);
      const auto gradients = [&](const Tensor& y) {
        const Tensor loss = sum(y * dy);
        std::vector<Tensor> all = grad(std::span(&loss, 1), in);
        return all;
      };
      const std::vector<Tensor> ours =
          gradients(scaled_dot_product_attention(in[0], in[1], in[2], {}, 0, causal));
      // A mask of "yes" everywhere has it composed.
      const Tensor mask = causal ? ge(unsqueeze(arange(size.queries), 1), arange(size.keys))
                                 : ge(arange(size.keys), 0);
      const std::vector<Tensor> composed =
          gradients(scaled_dot_product_attention(in[0], in[1], in[2], mask));
      for (std::size_t k = 0; k < in.size(); ++k) {
        const std::vector<float> got = ours[k].to_vector<float>();
        const std::vector<float> want = composed[k].to_vector<float>();
        for (std::size_t i = 0; i < got.size(); ++i)
          if (!(std::abs(got[i] - want[i]) <= 1e-5F * (1 + std::abs(want[i])))) {
            CAPTURE(k, i);
            CHECK(got[i] == want[i]);
            break;
          }
      }
    }
}

TEST_CASE("attention takes queries, keys and values side by side", "[conformance]") {
  Generator random(6);
  for (const std::int64_t places : {3, 37})
    for (const bool causal : {false, true}) {
      Case test{"packed attention"};
      test.inputs = {draw(random, {2, places, 3, 2, 3}, -1, 1)};
      test.call = [causal](std::span<const Tensor> in) {
        return std::vector{packed_attention(in[0], 0, causal)};
      };
      test.reference = [causal, places](std::span<const Doubles> in) {
        // [N, T, 3, heads, E] → [N · heads, T, E]
        const auto part = [&](std::int64_t which) {
          Doubles x = zeros_of({4, places, 3});
          for (std::int64_t i = 0; i < x.size(); ++i) {
            const std::int64_t head = i / (places * 3);
            const std::int64_t row = (head / 2 * places + i / 3 % places) * 3 + which;
            x[i] = in[0][(row * 2 + head % 2) * 3 + i % 3];
          }
          return x;
        };
        const Doubles of_heads = attention_of(part(0), part(1), part(2), causal);
        Doubles y = zeros_of({2, places, 2, 3});
        for (std::int64_t i = 0; i < y.size(); ++i) {
          const std::int64_t head = i / (places * 6) * 2 + i / 3 % 2;
          y[i] = of_heads[(head * places + i / 6 % places) * 3 + i % 3];
        }
        return std::vector{y};
      };
      test.ulp_max = 16;
      test.scale = 4;
      test.differentiable = places < 10;
      CHECK(check(test) == "");
    }
}

TEST_CASE("attention broadcasts leading sizes", "[conformance]") {
  const test::Engine engine;
  const Tensor query = Tensor::copy_of<float>(test::numbers(2 * 3 * 4 * 5, 1), {2, 3, 4, 5});
  const Tensor key = Tensor::copy_of<float>(test::numbers(3 * 6 * 5, 2), {3, 6, 5});
  const Tensor value = Tensor::copy_of<float>(test::numbers(2 * 6 * 5, 3), {2, 1, 6, 5});
  const Tensor y = scaled_dot_product_attention(query, key, value);
  CHECK(y.shape() == Shape{2, 3, 4, 5});
  const Shape whole{2, 3, 6, 5};
  CHECK(
      y.to_vector<float>() ==
      scaled_dot_product_attention(
          query, contiguous(expand(key, whole)), contiguous(expand(value, whole)))
          .to_vector<float>());
}

TEST_CASE("attention computes in float32 what is stored in 16 bits", "[conformance]") {
  const test::Engine engine;
  for (const DType dtype : {DType::bfloat16, DType::float16}) {
    const auto drawn = [&](std::uint64_t seed) {
      return cast(Tensor::copy_of<float>(test::numbers(2 * 9 * 4, seed), {2, 9, 4}), dtype);
    };
    const Tensor in[] = {drawn(1), drawn(2), drawn(3)};
    const auto wide = [](const Tensor& x) { return cast(x, DType::float32); };
    const Tensor y = scaled_dot_product_attention(in[0], in[1], in[2]);
    CHECK(y.dtype() == dtype);
    const Tensor want = scaled_dot_product_attention(wide(in[0]), wide(in[1]), wide(in[2]));
    CHECK(wide(y).to_vector<float>() == wide(cast(want, dtype)).to_vector<float>());
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
