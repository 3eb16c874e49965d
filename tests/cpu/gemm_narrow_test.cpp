#include "narrow_products.hpp"
#include "page_end.hpp"
#include "run_plan.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cmath>
#include <limits>

// Products of bfloat16 on every instruction set, and float32 products of less than the highest
// precision, against sums in double.

namespace troupe::cpu::test {

TEST_CASE("products of bfloat16 agree with sums in double", "[cpu][gemm]") {
  Random random(1);
  for (const auto& [m, n, k] : sizes)
    for (const int turned : {0, 1, 2, 3}) {
      const auto a = drawn<BFloat16>(random, {m, k}, turned & 1, turned == 2 ? 3 : 0);
      const auto b = drawn<BFloat16>(random, {k, n}, turned & 2, turned == 1 ? 5 : 0);
      check(kernels<Matmul>(), a, b, Precision::highest, 0, static_cast<std::uint64_t>(turned));
    }
  // Batches, of both and of one.
  check(
      kernels<Matmul>(),
      drawn<BFloat16>(random, {5, 20, 30}, false),
      drawn<BFloat16>(random, {5, 30, 40}, true),
      Precision::highest,
      0,
      9);
  check(
      kernels<Matmul>(),
      drawn<BFloat16>(random, {3, 300, 24}, true),
      drawn<BFloat16>(random, {24, 50}, false),
      Precision::highest,
      0,
      9);
  check(
      kernels<Matmul>(),
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
    check(kernels<Matmul>(), a, b, Precision::highest, 0, 1);
    check(kernels<Matmul>(), a, b, Precision::high, 0x1p-15, 1);
    check(kernels<Matmul>(), a, b, Precision::medium, 0x1p-7, 1);
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
  for (const auto& [m, n, k] : sizes) {
    const auto x = drawn<BFloat16>(random, {m, k}, false);
    const auto weight = drawn<BFloat16>(random, {n, k}, false);
    const auto bias = drawn<BFloat16>(random, {1, n}, false);
    View bias_view = bias.view;
    bias_view.shape = {n};
    bias_view.strides = {1};
    std::vector<Expected> want(static_cast<std::size_t>(m * n));
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        Expected& to = want[static_cast<std::size_t>(i * n + j)];
        for (std::int64_t p = 0; p < k; ++p) {
          const double one = number(x.at(i * k + p)) * number(weight.at(j * k + p));
          to.sum += one;
          to.size += std::abs(one);
        }
        to.sum += number(bias.at(j));
        to.size += std::abs(number(bias.at(j)));
      }
    for (const NamedPlan& kernel : kernels<Linear>()) {
      HostTensor<BFloat16> y = make_tensor<BFloat16>({m, n});
      run_kernel(kernel.plan, call_of(unused, {x.view, weight.view, bias_view}, {y.view}));
      std::int64_t wrong = 0;
      for (std::size_t i = 0; i < want.size(); ++i) wrong += !close(y.data[i], want[i], k + 1, 0);
      CAPTURE(kernel.isa, m, n, k);
      REQUIRE(wrong == 0);
    }
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
    const bool flushed = kernel.isa == "avx512bf16" || kernel.isa == "amx";
    CHECK(number(c.at(0)) == (flushed ? 1.0 : 1.5));
    CHECK(number(c.at(1)) == (flushed ? 0.0 : 0.5));
  }
}

}  // namespace troupe::cpu::test
