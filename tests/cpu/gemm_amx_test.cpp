#include "emulated_tiles.hpp"
#include "narrow_products.hpp"
#include "run_plan.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

// The kernels for AMX on emulated tiles: cut, packing, splitting into parts, special values, all
// but the instructions themselves. On processors that have those, gemm_test.cpp and
// gemm_narrow_test.cpp run them as one more instruction set.

namespace troupe::cpu::test {
namespace {

/// Empty where packing cannot run.
std::vector<NamedPlan> emulated(PlanFunction plan) {
  if (__builtin_cpu_supports("avx512bf16")) return {{"emulated amx", plan}};
  return {};
}

/// The largest error of a product over the sum of sizes, of all elements.
double error_of(const NamedPlan& kernel, const HostTensor<float>& a, const HostTensor<float>& b) {
  const int unused = 0;
  const std::int64_t m = a.view.shape[0];
  const std::int64_t n = b.view.shape[1];
  HostTensor<float> c = make_tensor<float>({m, n});
  run_kernel(kernel.plan, call_of(unused, {a.view, b.view}, {c.view}));
  double worst = 0;
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      const Expected want = element(a, b, 0, 0, i, j);
      worst = std::max(worst, std::abs(number(c.at(i * n + j)) - want.sum) / want.size);
    }
  return worst;
}

/// The same matrix with a number that must not be touched behind each of its own.
HostTensor<float> every_other(const HostTensor<float>& from) {
  HostTensor<float> wide = make_tensor<float>({from.view.shape[0], 2 * from.view.shape[1]});
  std::fill(wide.data.begin(), wide.data.end(), std::nanf(""));
  wide.view.shape = from.view.shape;
  wide.view.strides[1] = 2;
  wide.view.contiguous = false;
  for (std::int64_t i = 0; i < from.view.elements(); ++i) wide.at(i) = from.at(i);
  return wide;
}

}  // namespace

TEST_CASE("tiles multiply bfloat16", "[cpu][gemm]") {
  Random random(11);
  for (const auto& [m, n, k] : sizes)
    for (const int turned : {0, 1, 2, 3}) {
      const auto a = drawn<BFloat16>(random, {m, k}, turned & 1, turned == 2 ? 3 : 0);
      const auto b = drawn<BFloat16>(random, {k, n}, turned & 2, turned == 1 ? 5 : 0);
      check(emulated(&plan_emulated_matmul), a, b, Precision::highest, 0, 1);
    }
  check(
      emulated(&plan_emulated_matmul),
      drawn<BFloat16>(random, {3, 40, 34}, false),
      drawn<BFloat16>(random, {3, 34, 50}, true),
      Precision::highest,
      0,
      1);
}

TEST_CASE("tiles multiply float32 in as many parts as its precision asks for", "[cpu][gemm]") {
  Random random(12);
  for (const auto& [m, n, k] : sizes) {
    const auto a = drawn<float>(random, {m, k}, m % 2 == 0);
    const auto b = drawn<float>(random, {k, n}, n % 3 == 0);
    check(emulated(&plan_emulated_matmul), a, b, Precision::highest, 0x1p-23, 1);
    check(emulated(&plan_emulated_matmul), a, b, Precision::high, 0x1p-15, 1);
    check(emulated(&plan_emulated_matmul), a, b, Precision::medium, 0x1p-7, 1);
  }
}

// Goal: which way operands lie, and which of them a chunk packs for itself, changes no bit.
TEST_CASE("the layout of float32 operands does not change bits of tiles", "[cpu][gemm]") {
  const int unused = 0;
  for (const auto& [m, n, k] :
       {std::tuple{40, 40, 40},
        std::tuple{300, 100, 70},
        std::tuple{70, 300, 290},
        std::tuple{270, 290, 33},
        std::tuple{33, 50, 1'100}})
    for (const NamedPlan& kernel : emulated(&plan_emulated_matmul)) {
      std::vector<float> first;
      for (int layout = 0; layout < 5; ++layout) {
        Random random(17);
        const bool apart = layout == 4;
        auto a = drawn<float>(random, {m, k}, layout & 1, layout == 1 ? 3 : 0);
        auto b = drawn<float>(random, {k, n}, layout & 2, layout == 2 ? 7 : 0);
        if (apart) {
          a = every_other(a);
          b = every_other(b);
        }
        HostTensor<float> c = make_tensor<float>({m, n});
        run_kernel(
            kernel.plan,
            call_of(unused, {a.view, b.view}, {c.view}),
            static_cast<std::uint64_t>(layout));
        if (layout == 0) first = c.data;
        CAPTURE(m, n, k, layout);
        REQUIRE(same_bits(first, c.data));
      }
    }
}

// Goal: "highest" is no worse than the chain of FMAs that it stands for.
TEST_CASE("three parts are as good as float32", "[cpu][gemm]") {
  Random random(13);
  const auto a = drawn<float>(random, {64, 1'024}, false);
  const auto b = drawn<float>(random, {1'024, 64}, false);
  for (const NamedPlan& kernel : emulated(&plan_emulated_matmul))
    CHECK(error_of(kernel, a, b) <= error_of(kernels<Matmul>().front(), a, b));
}

// Goal: numbers whose parts would leave the range of normal numbers get the bits of the FMA kernel,
// and only the tiles that they are in do.
TEST_CASE("special values come out of tiles as out of float32", "[cpu][gemm]") {
  const int unused = 0;
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const float specials[] = {
      infinity, -infinity, std::nanf(""), 1e-40f, 3e38f, 1e-35f, 0.0f, 1e30f, 1e-30f};
  Random random(14);
  for (const NamedPlan& kernel : emulated(&plan_emulated_matmul)) {
    const PlanFunction exact = &Kernel<Matmul, xsimd::avx512bw>::plan;
    for (const Precision precision : {Precision::highest, Precision::high})
      for (const float special : specials)
        for (const std::int64_t k : {100, 1'200}) {
          CAPTURE(special, k, name_of(precision));
          const std::int64_t m = 70, n = 90;
          auto a = drawn<float>(random, {m, k}, false);
          auto b = drawn<float>(random, {k, n}, true);
          a.at(40 * k + 7) = special;         // in the second of three tiles of rows
          b.at(9 * n + 33) = special * 0.5f;  // and the second panel
          HostTensor<float> c = make_tensor<float>({m, n});
          HostTensor<float> want = make_tensor<float>({m, n});
          KernelCall call = call_of(unused, {a.view, b.view}, {c.view});
          call.precision = precision;
          run_kernel(kernel.plan, call);
          call.out[0] = want.view;
          run_kernel(exact, call);
          const bool odd = special != 0.0f && special != 1e30f && special != 1e-30f;
          std::int64_t wrong = 0, different = 0;
          for (std::int64_t i = 0; i < m; ++i)
            for (std::int64_t j = 0; j < n; ++j) {
              const float got = c.at(i * n + j);
              const float expected = want.at(i * n + j);
              const bool same = std::memcmp(&got, &expected, sizeof got) == 0;
              const bool touched = i / 32 == 1 || j / 32 == 1;
              if (odd && touched) wrong += !same;
              if (!touched) different += !same;
            }
          CHECK(wrong == 0);
          CHECK(different > 0);
        }
  }
}

// Goal: products that would be smaller than the smallest normal number are as exact as float32's.
TEST_CASE("small factors are multiplied as float32 does", "[cpu][gemm]") {
  Random random(15);
  for (const double scale : {1e-10, 1e-17, 1e-19, 1e-25, 1e-33}) {
    auto a = drawn<float>(random, {40, 64}, false);
    auto b = drawn<float>(random, {64, 40}, false);
    for (float& x : a.data) x = static_cast<float>(x * scale);
    for (float& x : b.data) x = static_cast<float>(x * 1e-19);
    for (const NamedPlan& kernel : emulated(&plan_emulated_matmul)) {
      CAPTURE(scale);
      const NamedPlan fma{"avx512", &Kernel<Matmul, xsimd::avx512bw>::plan};
      CHECK(error_of(kernel, a, b) <= std::max(2 * error_of(fma, a, b), 0x1p-22));
    }
  }
}

TEST_CASE("linear on tiles adds its bias", "[cpu][gemm]") {
  Random random(16);
  const int unused = 0;
  const std::int64_t m = 37, n = 53, k = 40;
  const auto x = drawn<float>(random, {m, k}, false);
  const auto weight = drawn<float>(random, {n, k}, false);
  HostTensor<float> bias = make_tensor<float>({n});
  HostTensor<float> none = make_tensor<float>({m, n});
  HostTensor<float> y = make_tensor<float>({m, n});
  for (std::int64_t j = 0; j < n; ++j) bias.at(j) = static_cast<float>(j);
  for (const NamedPlan& kernel : emulated(&plan_emulated_linear)) {
    run_kernel(kernel.plan, call_of(unused, {x.view, weight.view}, {none.view}));
    run_kernel(kernel.plan, call_of(unused, {x.view, weight.view, bias.view}, {y.view}));
    std::int64_t wrong = 0;
    for (std::int64_t i = 0; i < m * n; ++i) wrong += y.at(i) != none.at(i) + bias.at(i % n);
    CHECK(wrong == 0);
  }
}

}  // namespace troupe::cpu::test
