#pragma once

#include "simd.hpp"
#include "transpose_words.hpp"

#include <cstdint>
#include <cstring>

namespace troupe::cpu {

/// Square tiles of a matrix, transposed in registers.
///
/// `tile` reads `size` rows of `size` words, `from_step` words apart, and writes them as columns:
/// rows of the result are `to_step` words apart. `streams`: past the caches; rows of the result are
/// then whole aligned registers.
template <class Word, class A>
struct Transpose {
  static constexpr std::int64_t size = 8;
  static constexpr bool can_stream = false;

  static void tile(const Word* from, std::int64_t from_step, Word* to, std::int64_t to_step, bool) {
    if constexpr (sizeof(Word) == 2) {
      tile_16(from, from_step, to, to_step);
    } else {
      for (std::int64_t i = 0; i < size; ++i)
        for (std::int64_t j = 0; j < size; ++j) to[i * to_step + j] = from[j * from_step + i];
    }
  }

 private:
  static void tile_16(const Word* from, std::int64_t from_step, Word* to, std::int64_t to_step) {
    __m128i row[8];
    for (int j = 0; j < 8; ++j)
      row[j] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + j * from_step));
    // Three rounds, each of which joins neighbours twice as wide.
    __m128i pair[8];
    for (int j = 0; j < 4; ++j) {
      pair[2 * j] = _mm_unpacklo_epi16(row[2 * j], row[2 * j + 1]);
      pair[2 * j + 1] = _mm_unpackhi_epi16(row[2 * j], row[2 * j + 1]);
    }
    for (int h = 0; h < 2; ++h)
      for (int k = 0; k < 2; ++k) {
        row[4 * h + 2 * k] = _mm_unpacklo_epi32(pair[4 * h + k], pair[4 * h + 2 + k]);
        row[4 * h + 2 * k + 1] = _mm_unpackhi_epi32(pair[4 * h + k], pair[4 * h + 2 + k]);
      }
    for (int k = 0; k < 4; ++k) {
      store(to + 2 * k * to_step, _mm_unpacklo_epi64(row[k], row[4 + k]));
      store(to + (2 * k + 1) * to_step, _mm_unpackhi_epi64(row[k], row[4 + k]));
    }
  }
  static void store(Word* to, __m128i value) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }
};

template <class A>
struct Transpose<std::uint32_t, A> {
  using Word = std::uint32_t;
#if defined(__AVX512F__)
  static constexpr std::int64_t size = 16;
  static constexpr bool can_stream = true;

  static void tile(
      const Word* from, std::int64_t from_step, Word* to, std::int64_t to_step, bool streams) {
    __m512i row[16];
#pragma GCC unroll 16
    for (int j = 0; j < 16; ++j) row[j] = _mm512_loadu_si512(from + j * from_step);
    transpose_words<A>(row);
    if (streams) {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i)
        _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i * to_step), row[i]);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * to_step, row[i]);
    }
  }
#elif defined(__AVX2__)
  static constexpr std::int64_t size = 8;
  static constexpr bool can_stream = true;

  static void tile(
      const Word* from, std::int64_t from_step, Word* to, std::int64_t to_step, bool streams) {
    __m256i a[8];
    __m256i b[8];
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j)
      a[j] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + j * from_step));
#pragma GCC unroll 4
    for (int j = 0; j < 8; j += 2) {
      b[j] = _mm256_unpacklo_epi32(a[j], a[j + 1]);
      b[j + 1] = _mm256_unpackhi_epi32(a[j], a[j + 1]);
    }
#pragma GCC unroll 2
    for (int j = 0; j < 8; j += 4) {
      a[j] = _mm256_unpacklo_epi64(b[j], b[j + 2]);
      a[j + 1] = _mm256_unpackhi_epi64(b[j], b[j + 2]);
      a[j + 2] = _mm256_unpacklo_epi64(b[j + 1], b[j + 3]);
      a[j + 3] = _mm256_unpackhi_epi64(b[j + 1], b[j + 3]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) {
      b[k] = _mm256_permute2x128_si256(a[k], a[4 + k], 0x20);
      b[4 + k] = _mm256_permute2x128_si256(a[k], a[4 + k], 0x31);
    }
    if (streams) {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i)
        _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i * to_step), b[i]);
    } else {
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i)
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * to_step), b[i]);
    }
  }
#else
  static constexpr std::int64_t size = 4;
  static constexpr bool can_stream = true;

  static void tile(
      const Word* from, std::int64_t from_step, Word* to, std::int64_t to_step, bool streams) {
    const auto load = [&](int j) {
      return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + j * from_step));
    };
    const __m128i a = _mm_unpacklo_epi32(load(0), load(1));
    const __m128i b = _mm_unpackhi_epi32(load(0), load(1));
    const __m128i c = _mm_unpacklo_epi32(load(2), load(3));
    const __m128i d = _mm_unpackhi_epi32(load(2), load(3));
    const auto store = [&](int i, __m128i row) {
      auto* const at = reinterpret_cast<__m128i*>(to + i * to_step);
      streams ? _mm_stream_si128(at, row) : _mm_storeu_si128(at, row);
    };
    store(0, _mm_unpacklo_epi64(a, c));
    store(1, _mm_unpackhi_epi64(a, c));
    store(2, _mm_unpacklo_epi64(b, d));
    store(3, _mm_unpackhi_epi64(b, d));
  }
#endif
};

template <class A>
struct Transpose<std::uint64_t, A> {
  using Word = std::uint64_t;
#if defined(__AVX2__)
  static constexpr std::int64_t size = 4;
#else
  static constexpr std::int64_t size = 2;
#endif
  static constexpr bool can_stream = false;

  static void tile(const Word* from, std::int64_t from_step, Word* to, std::int64_t to_step, bool) {
#if defined(__AVX2__)
    const auto load = [&](int j) {
      return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from + j * from_step));
    };
    const __m256i a = _mm256_unpacklo_epi64(load(0), load(1));
    const __m256i b = _mm256_unpackhi_epi64(load(0), load(1));
    const __m256i c = _mm256_unpacklo_epi64(load(2), load(3));
    const __m256i d = _mm256_unpackhi_epi64(load(2), load(3));
    const auto store = [&](int i, __m256i row) {
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i * to_step), row);
    };
    store(0, _mm256_permute2x128_si256(a, c, 0x20));
    store(1, _mm256_permute2x128_si256(b, d, 0x20));
    store(2, _mm256_permute2x128_si256(a, c, 0x31));
    store(3, _mm256_permute2x128_si256(b, d, 0x31));
#else
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from + from_step));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_unpacklo_epi64(a, b));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to + to_step), _mm_unpackhi_epi64(a, b));
#endif
  }
};

}  // namespace troupe::cpu
