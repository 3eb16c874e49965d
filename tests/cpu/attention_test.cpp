#include "op_check.hpp"

#include <troupe/tensor/ops/attention.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

/// What attention is asked for, of one size or another.
struct Problem {
  std::int64_t heads;
  std::int64_t queries;
  std::int64_t keys;
  std::int64_t features;
  std::int64_t values;

  [[nodiscard]] Samples draw(std::mt19937_64& random, double high = 1) const {
    return {
        draw_sample(random, {heads, queries, features}, -high, high),
        draw_sample(random, {heads, keys, features}, -high, high),
        draw_sample(random, {heads, keys, values}, -high, high)};
  }
};
// Single places, sizes that are no multiple of anything, several blocks of either, more keys than
// queries and fewer, nothing at all.
const std::vector<Problem> problems{
    {1, 1, 1, 1, 1},
    {2, 3, 5, 4, 2},
    {3, 40, 17, 7, 33},
    {1, 130, 300, 16, 20},
    {2, 257, 129, 3, 64},
    {20, 20, 20, 8, 8},
    {17, 140, 140, 4, 5},
    {2, 0, 3, 4, 4},
    {2, 3, 0, 4, 4},
    {0, 3, 3, 4, 4},
    {2, 3, 3, 0, 2},
    {2, 3, 3, 2, 0}};
constexpr double scale = 0.7;

/// The weights of one query, and the logarithm of what their powers add up to.
struct Weights {
  std::vector<double> of_key;
  double logarithm = -std::numeric_limits<double>::infinity();
};

struct Reference {
  Problem p;
  bool causal;

  [[nodiscard]] Weights weights(const Samples& in, std::int64_t head, std::int64_t query) const {
    Weights result;
    const std::int64_t seen = causal ? std::min(p.keys, query + 1) : p.keys;
    double most = -std::numeric_limits<double>::infinity();
    for (std::int64_t j = 0; j < seen; ++j) {
      double score = 0;
      for (std::int64_t e = 0; e < p.features; ++e)
        score += in[0][(head * p.queries + query) * p.features + e] *
                 in[1][(head * p.keys + j) * p.features + e];
      result.of_key.push_back(score * scale);
      most = std::max(most, score * scale);
    }
    double total = 0;
    for (double& x : result.of_key) total += x = std::exp(x - most);
    for (double& x : result.of_key) x /= total;
    if (seen > 0) result.logarithm = most + std::log(total);
    result.of_key.resize(static_cast<std::size_t>(p.keys));
    return result;
  }
  [[nodiscard]] Samples forward(const Samples& in) const {
    Sample y = sample_of({p.heads, p.queries, p.values});
    Sample logarithms = sample_of({p.heads, p.queries});
    for (std::int64_t row = 0; row < p.heads * p.queries; ++row) {
      const std::int64_t head = row / p.queries;
      const Weights w = weights(in, head, row % p.queries);
      logarithms[row] = w.logarithm;
      for (std::int64_t j = 0; j < p.keys; ++j)
        for (std::int64_t v = 0; v < p.values; ++v)
          y[row * p.values + v] +=
              w.of_key[static_cast<std::size_t>(j)] * in[2][(head * p.keys + j) * p.values + v];
    }
    return {y, logarithms};
  }
  /// From dy, query, key and value, whatever else there is.
  [[nodiscard]] Samples backward(const Samples& in) const {
    const Samples qkv{in[1], in[2], in[3]};
    Sample dq = sample_of(in[1].meta.shape);
    Sample dk = sample_of(in[2].meta.shape);
    Sample dv = sample_of(in[3].meta.shape);
    for (std::int64_t row = 0; row < p.heads * p.queries; ++row) {
      const std::int64_t head = row / p.queries;
      const Weights w = weights(qkv, head, row % p.queries);
      std::vector<double> slopes(static_cast<std::size_t>(p.keys));
      double mean = 0;
      for (std::int64_t j = 0; j < p.keys; ++j) {
        const double weight = w.of_key[static_cast<std::size_t>(j)];
        double& slope = slopes[static_cast<std::size_t>(j)];
        for (std::int64_t v = 0; v < p.values; ++v) {
          const double dy = in[0][row * p.values + v];
          slope += dy * in[3][(head * p.keys + j) * p.values + v];
          dv[(head * p.keys + j) * p.values + v] += weight * dy;
        }
        mean += weight * slope;
      }
      for (std::int64_t j = 0; j < p.keys; ++j) {
        const double slope = w.of_key[static_cast<std::size_t>(j)] *
                             (slopes[static_cast<std::size_t>(j)] - mean) * scale;
        for (std::int64_t e = 0; e < p.features; ++e) {
          dq[row * p.features + e] += slope * in[2][(head * p.keys + j) * p.features + e];
          dk[(head * p.keys + j) * p.features + e] += slope * in[1][row * p.features + e];
        }
      }
    }
    return {dq, dk, dv};
  }
};

/// [N · heads, T, E] for each of queries, keys and values as one tensor [N, T, 3, heads, E].
Sample packed(const Samples& qkv, std::int64_t n, std::int64_t heads) {
  const Shape& shape = qkv[0].meta.shape;
  const std::int64_t places = shape[1];
  const std::int64_t features = shape[2];
  Sample all = sample_of({n, places, 3, heads, features});
  for (std::int64_t k = 0; k < 3; ++k)
    for (std::int64_t head = 0; head < n * heads; ++head)
      for (std::int64_t t = 0; t < places; ++t)
        for (std::int64_t e = 0; e < features; ++e)
          all[(((head / heads * places + t) * 3 + k) * heads + head % heads) * features + e] =
              qkv[static_cast<std::size_t>(k)][(head * places + t) * features + e];
  return all;
}
/// [N · heads, T, E] as [N, T, heads, E].
Sample joined(const Sample& x, std::int64_t n, std::int64_t heads) {
  const std::int64_t places = x.meta.shape[1];
  const std::int64_t features = x.meta.shape[2];
  Sample all = sample_of({n, places, heads, features});
  for (std::int64_t head = 0; head < n * heads; ++head)
    for (std::int64_t t = 0; t < places; ++t)
      for (std::int64_t e = 0; e < features; ++e)
        all[((head / heads * places + t) * heads + head % heads) * features + e] =
            x[(head * places + t) * features + e];
  return all;
}

}  // namespace

TEST_CASE("attention's kernel matches its definition", "[cpu]") {
  std::mt19937_64 random(1);
  for (const Problem& p : problems)
    for (const bool causal : {false, true}) {
      CAPTURE(p.heads, p.queries, p.keys, p.features, p.values, causal);
      const Reference reference{p, causal};
      CHECK(
          check_op(
              Attention{{}, causal, scale},
              p.draw(random),
              [&](const Samples& in) { return reference.forward(in); },
              {1e-5, 1e-13}) == "");
    }
}

TEST_CASE("attention's gradients match their definitions", "[cpu]") {
  std::mt19937_64 random(2);
  for (const Problem& p : problems)
    for (const bool causal : {false, true}) {
      CAPTURE(p.heads, p.queries, p.keys, p.features, p.values, causal);
      const Reference reference{p, causal};
      const Samples qkv = p.draw(random);
      const Samples result = reference.forward(qkv);
      const Samples in{
          draw_sample(random, {p.heads, p.queries, p.values}),
          qkv[0],
          qkv[1],
          qkv[2],
          result[0],
          result[1]};
      CHECK(
          check_op(
              AttentionBackward{{}, causal, scale},
              in,
              [&](const Samples& x) { return reference.backward(x); },
              {2e-5, 1e-12}) == "");
    }
}

TEST_CASE("attention takes queries, keys and values side by side", "[cpu]") {
  std::mt19937_64 random(3);
  for (const std::int64_t places : {5, 150})
    for (const bool causal : {false, true}) {
      CAPTURE(places, causal);
      const Problem p{6, places, places, 9, 9};
      const Reference reference{p, causal};
      const Samples qkv = p.draw(random);
      const Samples result = reference.forward(qkv);
      const Sample y = joined(result[0], 2, 3);
      Sample logarithms = sample_of({2, 3, places});
      logarithms.data = result[1].data;
      CHECK(
          check_op(
              Attention{{}, causal, scale},
              {packed(qkv, 2, 3)},
              [&](const Samples&) {
                return Samples{y, logarithms};
              },
              {1e-5, 1e-13}) == "");
      const Sample dy = draw_sample(random, {6, places, 9});
      const Samples gradients =
          reference.backward({dy, qkv[0], qkv[1], qkv[2], result[0], result[1]});
      CHECK(
          check_op(
              AttentionBackward{{}, causal, scale},
              {joined(dy, 2, 3), packed(qkv, 2, 3), y, logarithms},
              [&](const Samples&) { return Samples{packed(gradients, 2, 3)}; },
              {2e-5, 1e-12}) == "");
    }
}

// Scores of some hundreds: powers of the largest alone would overflow, those of others vanish.
TEST_CASE("attention's powers neither overflow nor vanish", "[cpu]") {
  std::mt19937_64 random(4);
  const Problem p{2, 140, 300, 8, 4};
  const Reference reference{p, false};
  CHECK(
      check_op(
          Attention{{}, false, scale},
          p.draw(random, 20),
          [&](const Samples& in) { return reference.forward(in); },
          {1e-3, 1e-11}) == "");
}

// Rows whose scores are NaN, or +∞, or all −∞ are NaN, as softmax has them, and no other rows are;
// single scores of −∞ have the weight 0, whole blocks of them too.
TEST_CASE("attention keeps numbers that are none in their rows", "[cpu]") {
  constexpr double inf = std::numeric_limits<double>::infinity();
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  for (const NamedPlan& kernel : kernels<Attention>())
    for (const DType dtype : {DType::float32, DType::float64}) {
      CAPTURE(kernel.isa, name_of(dtype));
      Samples in{sample_of({1, 140, 1}), sample_of({1, 300, 1}), sample_of({1, 300, 1})};
      for (double& x : in[0].data) x = 1;
      for (std::int64_t j = 0; j < 300; ++j) in[2][j] = j < 280 ? 7 : 1;
      in[0][3] = nan;
      in[0][137] = inf;
      in[1][299] = 1;  // query 137: +∞ here, NaN for the zeros
      const Samples y = run_op(kernel.plan, Attention{{}, false, 1.0}, in, dtype);
      for (std::int64_t i = 0; i < 140; ++i) CHECK(std::isnan(y[0][i]) == (i == 3 || i == 137));
      for (double& x : in[0].data) x = 1;
      for (std::int64_t j = 0; j < 280; ++j) in[1][j] = -inf;
      in[1][299] = 0;
      in[0][5] = -1;  // −∞ · −1
      const Samples low = run_op(kernel.plan, Attention{{}, false, 1.0}, in, dtype);
      for (std::int64_t i = 0; i < 140; ++i)
        CHECK((i == 5 ? std::isnan(low[0][i]) : std::abs(low[0][i] - 1) < 1e-6));
      for (std::int64_t j = 0; j < 300; ++j) in[1][j] = -inf;
      in[0][5] = 1;
      const Samples none = run_op(kernel.plan, Attention{{}, false, 1.0}, in, dtype);
      for (std::int64_t i = 0; i < 140; ++i) CHECK(std::isnan(none[0][i]));
    }
}

}  // namespace troupe::cpu::test
