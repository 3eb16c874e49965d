#pragma once

#include "run_plan.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <vector>

/// Products of bfloat16, and of float32 that become such, against sums in double.
namespace troupe::cpu::test {

using Random = std::mt19937_64;

inline double number(float x) { return x; }
inline double number(BFloat16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x.bits) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
/// Toward zero; the tests take what comes of it as the factor.
template <class T>
T rounded(double x) {
  if constexpr (std::is_same_v<T, float>) {
    return static_cast<float>(x);
  } else {
    const auto value = static_cast<float>(x);
    std::uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return {static_cast<std::uint16_t>(bits >> 16)};
  }
}

/// A matrix, or a batch of them, either way around in memory, now and then with gaps.
template <class T>
HostTensor<T> drawn(Random& random, const Shape& shape, bool turned, std::int64_t gap = 0) {
  std::vector<std::size_t> order(shape.size());
  std::iota(order.begin(), order.end(), 0u);
  if (turned) std::swap(order[order.size() - 1], order[order.size() - 2]);
  HostTensor<T> tensor;
  HostTensor<float> like = make_strided<float>(shape, order, gap);
  tensor.data.resize(like.data.size());
  tensor.view = like.view;
  tensor.view.dtype = dtype_of<T>;
  tensor.view.data = tensor.data.data();
  // What the view does not show must not be touched, and shows if it is.
  std::fill(tensor.data.begin(), tensor.data.end(), rounded<T>(NAN));
  std::normal_distribution<double> even;
  for (std::int64_t i = 0; i < tensor.view.elements(); ++i) tensor.at(i) = rounded<T>(even(random));
  return tensor;
}

struct Expected {
  double sum = 0;
  double size = 0;
};
/// Element [i, j] of the given matrices of two batches of as many, or of one.
template <class T>
Expected element(
    const HostTensor<T>& a,
    const HostTensor<T>& b,
    std::int64_t a_matrix,
    std::int64_t b_matrix,
    std::int64_t i,
    std::int64_t j) {
  const std::int64_t m = a.view.shape[a.view.shape.size() - 2];
  const std::int64_t k = a.view.shape.back();
  const std::int64_t n = b.view.shape.back();
  Expected expected;
  for (std::int64_t p = 0; p < k; ++p) {
    const double one =
        number(a.at((a_matrix * m + i) * k + p)) * number(b.at((b_matrix * k + p) * n + j));
    expected.sum += one;
    expected.size += std::abs(one);
  }
  return expected;
}

/// The factors' error, and that of k sums in float32; then that of rounding to the result's type.
template <class T>
bool close(T got, const Expected& want, std::int64_t k, double factors) {
  const double sums = (factors + static_cast<double>(k + 2) * 0x1p-23) * want.size;
  const double unit = std::is_same_v<T, float> ? 0x1p-24 : 0x1p-8;
  return std::abs(number(got) - want.sum) <=
         sums + unit * (std::abs(want.sum) + sums) + 0x1p-126 * static_cast<double>(k + 1);
}

/// Runs every kernel in order and shuffled. `factors`: how far off a product of two may be.
template <class T>
void check(
    const std::vector<NamedPlan>& plans,
    const HostTensor<T>& a,
    const HostTensor<T>& b,
    Precision precision,
    double factors,
    std::uint64_t seed) {
  const int unused = 0;
  const std::size_t rank = std::max(a.view.shape.size(), b.view.shape.size());
  const std::int64_t m = a.view.shape[a.view.shape.size() - 2];
  const std::int64_t k = a.view.shape.back();
  const std::int64_t n = b.view.shape.back();
  const std::int64_t a_batch = rank > 2 && a.view.shape.size() > 2 ? a.view.shape[0] : 1;
  const std::int64_t b_batch = rank > 2 && b.view.shape.size() > 2 ? b.view.shape[0] : 1;
  const std::int64_t batch = std::max(a_batch, b_batch);
  std::vector<Expected> want;
  for (std::int64_t matrix = 0; matrix < batch; ++matrix)
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j)
        want.push_back(element(a, b, a_batch > 1 ? matrix : 0, b_batch > 1 ? matrix : 0, i, j));
  for (const NamedPlan& kernel : plans) {
    CAPTURE(kernel.isa, m, n, k, batch, to_string(a.view.strides), to_string(b.view.strides));
    HostTensor<T> c = make_tensor<T>(rank > 2 ? Shape{batch, m, n} : Shape{m, n});
    KernelCall call = call_of(unused, {a.view, b.view}, {c.view});
    call.precision = precision;
    run_kernel(kernel.plan, call);
    const std::vector<T> in_order = c.data;
    std::int64_t wrong = 0;
    for (std::size_t i = 0; i < want.size(); ++i) wrong += !close(c.data[i], want[i], k, factors);
    REQUIRE(wrong == 0);
    std::fill(c.data.begin(), c.data.end() - 1, rounded<T>(NAN));
    run_kernel(kernel.plan, call, seed + 1);
    REQUIRE(same_bits(c.data, in_order));
  }
}

/// Rows, columns and depth that meet all paths: one row, one column, tails of every kind, several
/// blocks of depth, more rows than a chunk packs columns for.
inline constexpr std::array sizes{
    std::tuple{1, 1, 1},
    std::tuple{8, 8, 8},
    std::tuple{5, 3, 0},
    std::tuple{3, 1, 70},
    std::tuple{1, 77, 35},
    std::tuple{300, 1, 129},
    std::tuple{14, 32, 64},
    std::tuple{15, 33, 31},
    std::tuple{40, 17, 300},
    std::tuple{130, 47, 90},
    std::tuple{64, 64, 64},
    std::tuple{300, 100, 70},
    std::tuple{29, 40, 1'100},
    std::tuple{270, 50, 2'050},
    std::tuple{200, 290, 33}};

}  // namespace troupe::cpu::test
