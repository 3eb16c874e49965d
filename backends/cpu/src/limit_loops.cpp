#include "limit_loops.hpp"

#include "simd.hpp"

#include <cstddef>

namespace troupe::cpu {
namespace {

using Floats = Vec<float, Arch>;
constexpr auto lanes = static_cast<std::int64_t>(Floats::size);

/// Twelve chains, enough for the latency of two ports.
constexpr int chains = 12;

double multiply_add(std::int64_t rounds) noexcept {
  Floats chain[chains];
  for (int i = 0; i < chains; ++i) chain[i] = Floats(1.0f + static_cast<float>(i));
  // Not known to the compiler, or it would compute some of it now.
  float number = 0.999f;
  asm volatile("" : "+m"(number));
  const Floats factor(number);
  for (std::int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 12
    for (int i = 0; i < chains; ++i)
      chain[i] = fused_multiply_add<float, Arch>(chain[i], factor, factor);
  Floats sum = chain[0];
  for (int i = 1; i < chains; ++i) sum += chain[i];
  float kept[Floats::size];
  sum.store_unaligned(kept);
  asm volatile("" ::"m"(kept));
  return 2.0 * chains * static_cast<double>(lanes) * static_cast<double>(rounds);
}

float read(const float* a, std::int64_t n) noexcept {
  Floats sums[4] = {Floats(0.0f), Floats(0.0f), Floats(0.0f), Floats(0.0f)};
  for (std::int64_t i = 0; i < n; i += 4 * lanes)
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < 4; ++k) sums[k] += Floats::load_aligned(a + i + k * lanes);
  float all[Floats::size];
  (sums[0] + sums[1] + (sums[2] + sums[3])).store_unaligned(all);
  float sum = 0;
  for (const float x : all) sum += x;
  return sum;
}

void triad(float* a, const float* b, const float* c, std::int64_t n) noexcept {
  const Floats factor(0.999f);
  for (std::int64_t i = 0; i < n; i += lanes)
    fused_multiply_add<float, Arch>(
        factor, Floats::load_aligned(c + i), Floats::load_aligned(b + i))
        .store_aligned(a + i);
}

}  // namespace

template <>
LimitLoops limit_loops<Arch>() {
  return {&multiply_add, nullptr, &read, &triad};
}

}  // namespace troupe::cpu
