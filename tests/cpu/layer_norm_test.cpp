#include "op_check.hpp"

#include <troupe/tensor/ops/layer_norm.hpp>
#include <troupe/tensor/ops/rms_norm.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

struct Row {
  double mean = 0;
  double rstd = 0;
};

Row row_of(const Sample& x, std::int64_t row, std::int64_t length, double eps) {
  Row result;
  for (std::int64_t i = 0; i < length; ++i) result.mean += x[row * length + i];
  result.mean /= static_cast<double>(length);
  double variance = 0;
  for (std::int64_t i = 0; i < length; ++i)
    variance += std::pow(x[row * length + i] - result.mean, 2);
  result.rstd = 1 / std::sqrt(variance / static_cast<double>(length) + eps);
  return result;
}

// Rows of one element and of many, more rows than a chunk holds, more columns than a block holds.
const std::vector<Shape> shapes{
    {4, 1}, {3, 7}, {2, 3, 33}, {700, 40}, {5, 1300}, {2000, 9}, {0, 4}};

}  // namespace

TEST_CASE("layer_norm's kernel matches its definition", "[cpu]") {
  std::mt19937_64 random(1);
  for (const Shape& shape : shapes)
    for (const int parameters : {0, 1, 2}) {
      CAPTURE(to_string(shape), parameters);
      const std::int64_t length = shape.back();
      Samples in{draw_sample(random, shape)};
      for (int k = 0; k < parameters; ++k) in.push_back(draw_sample(random, {length}));
      CHECK(
          check_op(
              LayerNorm{{}, 1, 1e-2},
              in,
              [&](const Samples& x) {
                Sample y = x[0];
                Shape rows = shape;
                rows.erase(rows.size() - 1);
                Sample mean = sample_of(rows);
                Sample rstd = sample_of(rows);
                for (std::int64_t r = 0; r < elements_in(rows); ++r) {
                  const Row row = row_of(x[0], r, length, 1e-2);
                  mean[r] = row.mean;
                  rstd[r] = row.rstd;
                  for (std::int64_t i = 0; i < length; ++i) {
                    double& value = y[r * length + i];
                    value = (value - row.mean) * row.rstd;
                    if (parameters > 0) value *= x[1][i];
                    if (parameters > 1) value += x[2][i];
                  }
                }
                return Samples{y, mean, rstd};
              },
              {2e-5, 1e-12}) == "");
    }
}

TEST_CASE("layer_norm's gradients match their definitions", "[cpu]") {
  std::mt19937_64 random(2);
  for (const Shape& shape : shapes)
    for (const bool weighted : {false, true}) {
      CAPTURE(to_string(shape), weighted);
      const std::int64_t length = shape.back();
      Shape rows = shape;
      rows.erase(rows.size() - 1);
      Samples in{
          draw_sample(random, shape),
          draw_sample(random, shape),
          draw_sample(random, rows, -0.5, 0.5),
          draw_sample(random, rows, 0.5, 1.5)};
      if (weighted) in.push_back(draw_sample(random, {length}));
      CHECK(
          check_op(
              LayerNormBackward{{}, 1},
              in,
              [&](const Samples& x) {
                Sample dx = sample_of(shape);
                Sample dweight = sample_of({length});
                Sample dbias = sample_of({length});
                for (std::int64_t r = 0; r < elements_in(rows); ++r) {
                  double mean_g = 0;
                  double mean_gx = 0;
                  const auto normal = [&](std::int64_t i) {
                    return (x[1][r * length + i] - x[2][r]) * x[3][r];
                  };
                  const auto g = [&](std::int64_t i) {
                    return x[0][r * length + i] * (weighted ? x[4][i] : 1);
                  };
                  for (std::int64_t i = 0; i < length; ++i) {
                    mean_g += g(i) / static_cast<double>(length);
                    mean_gx += g(i) * normal(i) / static_cast<double>(length);
                    dweight[i] += x[0][r * length + i] * normal(i);
                    dbias[i] += x[0][r * length + i];
                  }
                  for (std::int64_t i = 0; i < length; ++i)
                    dx[r * length + i] = (g(i) - mean_g - normal(i) * mean_gx) * x[3][r];
                }
                if (!weighted) return Samples{dx};
                return Samples{dx, dweight, dbias};
              },
              {2e-3, 1e-11}) == "");  // sums of 2,000 terms that cancel
    }
}

TEST_CASE("rms_norm's kernel matches its definition", "[cpu]") {
  std::mt19937_64 random(3);
  for (const Shape& shape : shapes)
    for (const bool weighted : {false, true}) {
      CAPTURE(to_string(shape), weighted);
      const std::int64_t length = shape.back();
      Samples in{draw_sample(random, shape)};
      if (weighted) in.push_back(draw_sample(random, {length}));
      CHECK(
          check_op(
              RmsNorm{{}, 1, 1e-2},
              in,
              [&](const Samples& x) {
                Sample y = x[0];
                Shape rows = shape;
                rows.erase(rows.size() - 1);
                Sample rstd = sample_of(rows);
                for (std::int64_t r = 0; r < elements_in(rows); ++r) {
                  double square = 0;
                  for (std::int64_t i = 0; i < length; ++i)
                    square += std::pow(y[r * length + i], 2) / static_cast<double>(length);
                  rstd[r] = 1 / std::sqrt(square + 1e-2);
                  for (std::int64_t i = 0; i < length; ++i)
                    y[r * length + i] *= rstd[r] * (weighted ? x[1][i] : 1);
                }
                return Samples{y, rstd};
              },
              {2e-5, 1e-12}) == "");
    }
}

TEST_CASE("rms_norm's gradients match their definitions", "[cpu]") {
  std::mt19937_64 random(4);
  for (const Shape& shape : shapes)
    for (const bool weighted : {false, true}) {
      CAPTURE(to_string(shape), weighted);
      const std::int64_t length = shape.back();
      Shape rows = shape;
      rows.erase(rows.size() - 1);
      Samples in{
          draw_sample(random, shape),
          draw_sample(random, shape),
          draw_sample(random, rows, 0.5, 1.5)};
      if (weighted) in.push_back(draw_sample(random, {length}));
      CHECK(
          check_op(
              RmsNormBackward{{}, 1},
              in,
              [&](const Samples& x) {
                Sample dx = sample_of(shape);
                Sample dweight = sample_of({length});
                for (std::int64_t r = 0; r < elements_in(rows); ++r) {
                  double mean_gx = 0;
                  const auto normal = [&](std::int64_t i) {
                    return x[1][r * length + i] * x[2][r];
                  };
                  const auto g = [&](std::int64_t i) {
                    return x[0][r * length + i] * (weighted ? x[3][i] : 1);
                  };
                  for (std::int64_t i = 0; i < length; ++i) {
                    mean_gx += g(i) * normal(i) / static_cast<double>(length);
                    dweight[i] += x[0][r * length + i] * normal(i);
                  }
                  for (std::int64_t i = 0; i < length; ++i)
                    dx[r * length + i] = (g(i) - normal(i) * mean_gx) * x[2][r];
                }
                if (!weighted) return Samples{dx};
                return Samples{dx, dweight};
              },
              {2e-3, 1e-11}) == "");  // sums of 2,000 terms that cancel
    }
}

}  // namespace troupe::cpu::test
