#include "page_end.hpp"
#include "run_plan.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cmath>
#include <limits>
#include <tuple>

// Products of bfloat16 on every instruction set, and float32 products of less than the highest
// precision. The factors are multiplied and added in double.

namespace troupe::cpu::test {
namespace {

using Random = std::mt19937_64;

double number(float x) { return x; }
double number(BFloat16 x) {
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
  for (std::int64_t i = 0; i < tensor.view.elements(); ++i)
    tensor.at(i) = rounded<T>(even(random));
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
    const double one = number(a.at((a_matrix * m + i) * k + p)) *
                       number(b.at((b_matrix * k + p) * n + j));
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
  for (const NamedPlan& kernel : kernels<Matmul>()) {
    CAPTURE(kernel.isa, m, n, k, batch, to_string(a.view.strides), to_string(b.view.strides));
    HostTensor<T> c = make_tensor<T>(rank > 2 ? Shape{batch, m, n} : Shape{m, n});
    KernelCall call = call_of(unused, {a.view, b.view}, {c.view});
    call.precision = precision;
    run_kernel(kernel.plan, call);
    const std::vector<T> in_order = c.data;
    std::int64_t wrong = 0;
    for (std::int64_t matrix = 0; matrix < batch; ++matrix)
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < n; ++j)
          wrong += !close(
              c.at((matrix * m + i) * n + j),
              element(a, b, a_batch > 1 ? matrix : 0, b_batch > 1 ? matrix : 0, i, j),
              k,
              factors);
    REQUIRE(wrong == 0);
    std::fill(c.data.begin(), c.data.end() - 1, rounded<T>(NAN));
    run_kernel(kernel.plan, call, seed + 1);
    REQUIRE(same_bits(c.data, in_order));
  }
}

/// Rows, columns and depth that meet all paths: one row, one column, tails of every kind, several
/// blocks of depth, more rows than a chunk packs columns for.
constexpr std::array sizes{
    std::tuple{1, 1, 1},     std::tuple{8, 8, 8},     std::tuple{5, 3, 0},    std::tuple{3, 1, 70},
    std::tuple{1, 77, 35},   std::tuple{300, 1, 129}, std::tuple{14, 32, 64}, std::tuple{15, 33, 31},
    std::tuple{40, 17, 300}, std::tuple{130, 47, 90}, std::tuple{64, 64, 64}, std::tuple{300, 100, 70},
    std::tuple{29, 40, 1'100}, std::tuple{270, 50, 2'050}, std::tuple{200, 290, 33}};

}  // namespace

TEST_CASE("products of bfloat16 agree with sums in double", "[cpu][gemm]") {
  Random random(1);
  for (const auto& [m, n, k] : sizes)
    for (const int turned : {0, 1, 2, 3}) {
      const auto a = drawn<BFloat16>(random, {m, k}, turned & 1, turned == 2 ? 3 : 0);
      const auto b = drawn<BFloat16>(random, {k, n}, turned & 2, turned == 1 ? 5 : 0);
      check(a, b, Precision::highest, 0, static_cast<std::uint64_t>(turned));
    }
  // Batches, of both and of one.
  check(
      drawn<BFloat16>(random, {5, 20, 30}, false),
      drawn<BFloat16>(random, {5, 30, 40}, true),
      Precision::highest,
      0,
      9);
  check(
      drawn<BFloat16>(random, {3, 300, 24}, true),
      drawn<BFloat16>(random, {24, 50}, false),
      Precision::highest,
      0,
      9);
  check(
      drawn<BFloat16>(random, {30, 24}, false),
      drawn<BFloat16>(random, {70, 24, 10}, false),
      Precision::highest,
      0,
      9);
}

// Goal: less than the highest precision stays within what the names promise, where it makes a
// difference and where not.
TEST_CASE("float32 products keep to the precision asked for", "[cpu][gemm]") {
  Random random(2);
  for (const auto& [m, n, k] : sizes) {
    const auto a = drawn<float>(random, {m, k}, m % 2 == 0);
    const auto b = drawn<float>(random, {k, n}, n % 3 == 0);
    check(a, b, Precision::highest, 0, 1);
    check(a, b, Precision::high, 0x1p-15, 1);
    check(a, b, Precision::medium, 0x1p-7, 1);
  }
}

// Goal: folding a transpose into the product, or swapping an only column for a row, changes no bit.
TEST_CASE("the layout of bfloat16 operands does not change bits", "[cpu][gemm]") {
  const int unused = 0;
  for (const auto& [m, n, k] : sizes)
    for (const NamedPlan& kernel : kernels<Matmul>()) {
      std::vector<BFloat16> first;
      for (int layout = 0; layout < 4; ++layout) {
        Random random(3);
        const auto a = drawn<BFloat16>(random, {m, k}, layout & 1, layout == 1 ? 3 : 0);
        const auto b = drawn<BFloat16>(random, {k, n}, layout & 2, layout == 2 ? 7 : 0);
        HostTensor<BFloat16> c = make_tensor<BFloat16>({m, n});
        run_kernel(kernel.plan, call_of(unused, {a.view, b.view}, {c.view}));
        if (layout == 0) first = c.data;
        CAPTURE(kernel.isa, m, n, k, layout);
        REQUIRE(same_bits(first, c.data));
      }
    }
}

TEST_CASE("linear of bfloat16 adds its bias before it rounds", "[cpu][gemm]") {
  Random random(4);
  const int unused = 0;
  for (const auto& [m, n, k] : sizes)
    for (const NamedPlan& kernel : kernels<Linear>()) {
      const auto x = drawn<BFloat16>(random, {m, k}, false);
      const auto weight = drawn<BFloat16>(random, {n, k}, false);
      const auto bias = drawn<BFloat16>(random, {1, n}, false);
      View bias_view = bias.view;
      bias_view.shape = {n};
      bias_view.strides = {1};
      HostTensor<BFloat16> y = make_tensor<BFloat16>({m, n});
      run_kernel(kernel.plan, call_of(unused, {x.view, weight.view, bias_view}, {y.view}));
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < n; ++j) {
          Expected want;
          for (std::int64_t p = 0; p < k; ++p) {
            const double one = number(x.at(i * k + p)) * number(weight.at(j * k + p));
            want.sum += one;
            want.size += std::abs(one);
          }
          want.sum += number(bias.at(j));
          want.size += std::abs(number(bias.at(j)));
          wrong += !close(y.at(i * n + j), want, k + 1, 0);
        }
      CAPTURE(kernel.isa, m, n, k);
      REQUIRE(wrong == 0);
    }
}

TEST_CASE("products of bfloat16 touch nothing behind their operands", "[cpu][gemm]") {
  const int unused = 0;
  for (const auto& [m, n, k] : sizes)
    for (const std::size_t turned : {0, 1, 2, 3})
      for (const NamedPlan& kernel : kernels<Matmul>()) {
        CAPTURE(kernel.isa, m, n, k, turned);
        const AtPageEnd<BFloat16> a(m * k), b(k * n), c(m * n);
        std::fill_n(a.data(), m * k, BFloat16{0x3f80});
        std::fill_n(b.data(), k * n, BFloat16{0x4000});
        Random random(5);
        HostTensor<BFloat16> left = drawn<BFloat16>(random, {m, k}, turned & 1);
        HostTensor<BFloat16> right = drawn<BFloat16>(random, {k, n}, turned & 2);
        HostTensor<BFloat16> out = make_tensor<BFloat16>({m, n});
        left.view.data = a.data();
        right.view.data = b.data();
        out.view.data = c.data();
        run_kernel(kernel.plan, call_of(unused, {left.view, right.view}, {out.view}));
        REQUIRE(std::all_of(c.data(), c.data() + m * n, [&, k = k](BFloat16 x) {
          return std::abs(number(x) - 2.0 * k) <= 0x1p-7 * k;
        }));
      }
}

// Goal: an infinity reaches its own row or column and nothing else; what pads tiles stays outside.
TEST_CASE("infinities of bfloat16 go where IEEE sends them", "[cpu][gemm]") {
  const int unused = 0;
  for (const auto& [m, n, k] :
       {std::array{5, 10, 3}, std::array{33, 70, 41}, std::array{1, 21, 35}, std::array{21, 1, 35}})
    for (const NamedPlan& kernel : kernels<Matmul>()) {
      HostTensor<BFloat16> a = make_tensor<BFloat16>({m, k});
      HostTensor<BFloat16> b = make_tensor<BFloat16>({k, n});
      std::fill(a.data.begin(), a.data.end(), BFloat16{0x3f80});
      std::fill(b.data.begin(), b.data.end(), BFloat16{0x3f80});
      a.at((m - 1) * k + k - 1) = {0x7f80};
      b.at((k - 1) * n + n - 1) = {0xbf80};
      HostTensor<BFloat16> c = make_tensor<BFloat16>({m, n});
      run_kernel(kernel.plan, call_of(unused, {a.view, b.view}, {c.view}));
      std::int64_t finite = 0;
      for (std::int64_t i = 0; i < m * n; ++i) finite += std::isfinite(number(c.at(i)));
      CAPTURE(kernel.isa, m, n, k);
      CHECK(finite == (m - 1) * n);
      CHECK(number(c.at(m * n - 1)) == -std::numeric_limits<double>::infinity());
    }
}

// Goal: what the op's page says of numbers below the normal ones holds: a kernel may take them for
// 0, and does nothing else with them.
TEST_CASE("denormal bfloat16 numbers count as they are or as 0", "[cpu][gemm]") {
  const int unused = 0;
  for (const NamedPlan& kernel : kernels<Matmul>()) {
    HostTensor<BFloat16> a = make_tensor<BFloat16>({2, 2});
    HostTensor<BFloat16> b = make_tensor<BFloat16>({2, 1});
    a.at(0) = {0x0040};  // 2^-127
    a.at(1) = {0x3f80};
    a.at(2) = {0x0040};
    a.at(3) = {0x0000};
    b.at(0) = {0x7e80};  // 2^126
    b.at(1) = {0x3f80};
    HostTensor<BFloat16> c = make_tensor<BFloat16>({2, 1});
    run_kernel(kernel.plan, call_of(unused, {a.view, b.view}, {c.view}));
    CAPTURE(kernel.isa);
    const bool flushed = kernel.isa == "avx512bf16";
    CHECK(number(c.at(0)) == (flushed ? 1.0 : 1.5));
    CHECK(number(c.at(1)) == (flushed ? 0.0 : 0.5));
  }
}

}  // namespace troupe::cpu::test
