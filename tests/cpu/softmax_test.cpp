#include "op_check.hpp"

#include <troupe/tensor/ops/log_softmax.hpp>
#include <troupe/tensor/ops/softmax.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::cpu::test {
namespace {

/// Calls `line` with the places of each line's elements along an axis.
void for_each_line(
    const Shape& shape,
    std::int64_t dim,
    const std::function<void(std::vector<std::int64_t>)>& line) {
  const auto axis =
      static_cast<std::size_t>(dim < 0 ? dim + static_cast<std::int64_t>(shape.size()) : dim);
  const std::int64_t inner = contiguous_strides(shape)[axis];
  for (std::int64_t first = 0; first < elements_in(shape); ++first) {
    if (first / inner % shape[axis] != 0) continue;
    std::vector<std::int64_t> places;
    for (std::int64_t i = 0; i < shape[axis]; ++i) places.push_back(first + i * inner);
    line(places);
  }
}

Samples softmax_reference(const Samples& in, std::int64_t dim, bool logarithm) {
  Sample y = sample_of(in[0].meta.shape);
  for_each_line(in[0].meta.shape, dim, [&](const std::vector<std::int64_t>& places) {
    double most = -INFINITY;
    for (const auto i : places) most = std::max(most, in[0][i]);
    double total = 0;
    for (const auto i : places) total += std::exp(in[0][i] - most);
    for (const auto i : places)
      y[i] = logarithm ? in[0][i] - most - std::log(total) : std::exp(in[0][i] - most) / total;
  });
  return {y};
}

Samples backward_reference(const Samples& in, std::int64_t dim, bool logarithm) {
  Sample dx = sample_of(in[0].meta.shape);
  const Sample& y = in[0];
  const Sample& dy = in[1];
  for_each_line(in[0].meta.shape, dim, [&](const std::vector<std::int64_t>& places) {
    double total = 0;
    for (const auto i : places) total += logarithm ? dy[i] : dy[i] * y[i];
    for (const auto i : places)
      dx[i] = logarithm ? dy[i] - std::exp(y[i]) * total : y[i] * (dy[i] - total);
  });
  return {dx};
}

// Lengths below, at and above every register's width, lines adjacent and apart, and more than a
// chunk.
const std::vector<std::pair<Shape, std::int64_t>> cases{
    {{1}, 0},
    {{7}, -1},
    {{128, 10}, 1},
    {{5, 33}, 1},
    {{3, 1000}, -1},
    {{2, 3, 5}, 1},
    {{4, 6, 17}, 1},
    {{10, 40}, 0},
    {{2, 70, 3, 11}, 1},
    {{1, 40000}, 1},
    {{300, 64}, 1},
    {{0, 4}, 1},
    {{16, 1, 9}, 1}};

}  // namespace

TEST_CASE("softmax and log_softmax match their definitions", "[cpu]") {
  std::mt19937_64 random(1);
  for (const auto& [shape, dim] : cases) {
    CAPTURE(to_string(shape), dim);
    const Samples in{draw_sample(random, shape, -8, 8)};
    const auto axis = dim;
    CHECK(check_op(Softmax{{}, dim}, in, [&](const Samples& x) {
            return softmax_reference(x, axis, false);
          }) == "");
    CHECK(check_op(LogSoftmax{{}, dim}, in, [&](const Samples& x) {
            return softmax_reference(x, axis, true);
          }) == "");
  }
}

TEST_CASE("the gradients of softmax and log_softmax match their definitions", "[cpu]") {
  std::mt19937_64 random(2);
  for (const auto& [shape, dim] : cases) {
    CAPTURE(to_string(shape), dim);
    const Samples in{draw_sample(random, shape, -2, 0), draw_sample(random, shape)};
    const auto axis = dim;
    // The sum over a line of n elements may carry n roundings.
    const Bounds bounds{2e-4, 1e-12};
    CHECK(
        check_op(
            SoftmaxBackward{{}, dim},
            in,
            [&](const Samples& x) { return backward_reference(x, axis, false); },
            bounds) == "");
    CHECK(
        check_op(
            LogSoftmaxBackward{{}, dim},
            in,
            [&](const Samples& x) { return backward_reference(x, axis, true); },
            bounds) == "");
  }
}

TEST_CASE("softmax keeps to 1 for huge, equal and masked inputs", "[cpu]") {
  const Samples huge{{{DType::float64, {1, 3}}, {1e30, 1e30, -1e30}}};
  const Samples masked{{{DType::float64, {1, 3}}, {-INFINITY, 0, 0}}};
  const auto halves = [](const Samples&) {
    return Samples{{{DType::float64, {1, 3}}, {0.5, 0.5, 0}}};
  };
  CHECK(check_op(Softmax{{}, 1}, huge, halves) == "");
  CHECK(check_op(Softmax{{}, -1}, masked, [](const Samples&) {
          return Samples{{{DType::float64, {1, 3}}, {0, 0.5, 0.5}}};
        }) == "");
}

}  // namespace troupe::cpu::test
