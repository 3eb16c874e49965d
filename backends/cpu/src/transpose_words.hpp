#pragma once

#include <immintrin.h>

namespace troupe::cpu {

#ifdef __AVX512F__
/// Turns over a square of 16 × 16 words in registers.
template <class A>
[[gnu::always_inline]] inline void transpose_words(__m512i* row) noexcept {
  // Within 128 bits: first neighbors change places, then neighbors of two.
  __m512i quad[16];
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4) {
    const __m512i a = _mm512_unpacklo_epi32(row[i], row[i + 1]);
    const __m512i b = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    const __m512i c = _mm512_unpacklo_epi32(row[i + 2], row[i + 3]);
    const __m512i d = _mm512_unpackhi_epi32(row[i + 2], row[i + 3]);
    quad[i] = _mm512_unpacklo_epi64(a, c);
    quad[i + 1] = _mm512_unpackhi_epi64(a, c);
    quad[i + 2] = _mm512_unpacklo_epi64(b, d);
    quad[i + 3] = _mm512_unpackhi_epi64(b, d);
  }
  // Quad 4 g + i holds, in its 128-bit lane l, rows 4 g … 4 g + 3 of column 4 l + i.
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    const __m512i a = _mm512_shuffle_i32x4(quad[i], quad[4 + i], 0x88);
    const __m512i b = _mm512_shuffle_i32x4(quad[i], quad[4 + i], 0xdd);
    const __m512i c = _mm512_shuffle_i32x4(quad[8 + i], quad[12 + i], 0x88);
    const __m512i d = _mm512_shuffle_i32x4(quad[8 + i], quad[12 + i], 0xdd);
    row[i] = _mm512_shuffle_i32x4(a, c, 0x88);
    row[4 + i] = _mm512_shuffle_i32x4(b, d, 0x88);
    row[8 + i] = _mm512_shuffle_i32x4(a, c, 0xdd);
    row[12 + i] = _mm512_shuffle_i32x4(b, d, 0xdd);
  }
}
#endif

}  // namespace troupe::cpu
