#pragma once

#include <xsimd/xsimd.hpp>

#include <cstdint>
#include <cstring>

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

/// As many bytes as a register has elements, as numbers. No byte behind them is touched.
template <class T, class A>
inline Vec<T, A> numbers_of_bytes(const std::uint8_t* from) noexcept {
  std::uint64_t words[2] = {};
  std::memcpy(words, from, Vec<T, A>::size);
  const __m128i bytes =
      _mm_set_epi64x(static_cast<std::int64_t>(words[1]), static_cast<std::int64_t>(words[0]));
  constexpr bool narrow = std::is_same_v<T, float>;
#ifdef __AVX512F__
  if constexpr (sizeof(Vec<T, A>) == 64) {
    if constexpr (narrow)
      return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(bytes));
    else
      return _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(bytes));
  }
#endif
#ifdef __AVX2__
  if constexpr (sizeof(Vec<T, A>) == 32) {
    if constexpr (narrow)
      return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes));
    else
      return _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(bytes));
  }
#endif
  if constexpr (sizeof(Vec<T, A>) == 16) {
    const __m128i zero = _mm_setzero_si128();
    const __m128i whole = _mm_unpacklo_epi16(_mm_unpacklo_epi8(bytes, zero), zero);
    if constexpr (narrow)
      return _mm_cvtepi32_ps(whole);
    else
      return _mm_cvtepi32_pd(whole);
  }
}

}  // namespace troupe::cpu
