#include "limit_loops.hpp"
#include "narrow_dot.hpp"
#include "narrow_sets.hpp"
#include "product_of.hpp"

#include <immintrin.h>

namespace troupe {
struct Matmul;  // have no attributes, so their names are all the kernels need
struct Linear;
}  // namespace troupe

namespace troupe::cpu {
namespace {

using Unit = DotUnit<avx512bf16>;

/// Whether pairs are what such a call is computed in, and not left to AVX-512 alone. float32 at
/// `high` precision would take three products of parts at twice the rate of FMAs.
bool takes_pairs(const KernelCall& call) noexcept {
  return call.in[0].dtype == DType::bfloat16 ||
         (call.in[0].dtype == DType::float32 && call.precision == Precision::medium);
}

void plan_pairs(const KernelCall& call, Plan& plan, const Product& product) {
  if (call.in[0].dtype == DType::bfloat16)
    plan_narrow<Unit, BFloat16, BFloat16>(product, plan);
  else
    plan_narrow<Unit, float, float>(product, plan);
}

}  // namespace

template <>
void Kernel<Matmul, avx512bf16>::plan(const KernelCall& call, Plan& plan) {
  if (!takes_pairs(call)) return Kernel<Matmul, Arch>::plan(call, plan);
  bool vector = false;
  plan_pairs(call, plan, product_of_matmul<avx512bf16>(call, vector));
}

template <>
void Kernel<Linear, avx512bf16>::plan(const KernelCall& call, Plan& plan) {
  if (!takes_pairs(call)) return Kernel<Linear, Arch>::plan(call, plan);
  bool vector = false;
  plan_pairs(call, plan, product_of_linear<avx512bf16>(call, vector));
}

template <>
double bfloat16_peak<avx512bf16>(std::int64_t rounds) noexcept {
  constexpr int chains = 12;
  __m512 chain[chains];
  for (int i = 0; i < chains; ++i) chain[i] = _mm512_set1_ps(static_cast<float>(i));
  __m512 factor = _mm512_set1_ps(0.999f);
  asm volatile("" : "+v"(factor));
  const auto pairs = reinterpret_cast<__m512bh>(factor);
  for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i) chain[i] = _mm512_dpbf16_ps(chain[i], pairs, pairs);
  for (int i = 0; i < chains; ++i) asm volatile("" ::"v"(chain[i]));
  constexpr double operations = 16 * 2 * 2;  // of an instruction: lanes, pairs, product and sum
  return chains * operations * static_cast<double>(rounds);
}

}  // namespace troupe::cpu
