#pragma once

#include <xsimd/xsimd.hpp>

namespace troupe::cpu {

/// The instruction set that this file is being compiled for.
#ifndef TROUPE_CPU_ARCH
#define TROUPE_CPU_ARCH xsimd::sse2
#endif
using Arch = TROUPE_CPU_ARCH;

/// A SIMD register of `T` on instruction set `A`.
template <class T, class A>
using Vec = xsimd::batch<T, A>;

/// a·b + c rounded once where the instruction set has FMA, twice on SSE2. Spelled with the
/// intrinsic on AVX-512, for which xsimd 8.1 has none; contraction by the compiler is off, so
/// nothing else fuses.
template <class T, class A>
inline Vec<T, A> fused_multiply_add(Vec<T, A> a, Vec<T, A> b, Vec<T, A> c) noexcept {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float> && sizeof(Vec<T, A>) == 64)
    return _mm512_fmadd_ps(a, b, c);
  else if constexpr (std::is_same_v<T, double> && sizeof(Vec<T, A>) == 64)
    return _mm512_fmadd_pd(a, b, c);
  else
#endif
    return xsimd::fma(a, b, c);
}

}  // namespace troupe::cpu
