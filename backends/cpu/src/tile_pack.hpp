#pragma once

#include "narrow_pack.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

/// Packing for products by tiles of 16 rows of 64 bytes. Both factors are cut into blocks of 32
/// lines (rows of A, columns of B) and 32 elements along k, and each block holds, for each part
/// that its elements are split into, two tiles of 16 lines: of A [line][pair], of B [pair][line].
/// Compiled for AVX-512 with its bfloat16 extension only.
namespace troupe::cpu {

/// Lines, and elements along k, in a block.
inline constexpr std::int64_t block_size = 32;
/// Pairs in a tile, and in one part of a block.
inline constexpr std::int64_t tile_pairs = 16 * 16;
inline constexpr std::int64_t part_pairs = 2 * tile_pairs;

/// The binary exponents of numbers that are not 0, as IEEE stores them: 0 for denormals, 255 for
/// infinities and NaNs. `least` > `most` where all are 0.
struct ExponentRange {
  std::int32_t least = 255;
  std::int32_t most = 0;
};
template <class A>
void widen(ExponentRange& range, const ExponentRange& by) noexcept {
  range.least = std::min(range.least, by.least);
  range.most = std::max(range.most, by.most);
}

/// Finds the exponents of floats, lane by lane.
template <class A>
class Exponents {
 public:
  void note(__m512 x) noexcept {
    const __m512i size = _mm512_slli_epi32(_mm512_castps_si512(x), 1);
    most_ = _mm512_max_epu32(most_, size);
    // One less makes a 0 the largest of all.
    least_ = _mm512_min_epu32(least_, _mm512_sub_epi32(size, _mm512_set1_epi32(1)));
  }
  [[nodiscard]] ExponentRange range() const noexcept {
    const std::uint32_t most = _mm512_reduce_max_epu32(most_);
    if (most == 0) return {};
    const std::uint32_t least = _mm512_reduce_min_epu32(least_) + 1;
    return {static_cast<std::int32_t>(least >> 24), static_cast<std::int32_t>(most >> 24)};
  }

 private:
  __m512i least_ = _mm512_set1_epi32(-1);
  __m512i most_ = _mm512_setzero_si512();
};

/// Pairs of `low`, in the low halves, and `high` as `Parts` bfloat16 each: the first is the float
/// rounded, the next what is left of it, rounded, and so on. A float of normal size is the sum of
/// three exactly. Of several parts the floats must be finite.
template <class A, int Parts>
void split_pairs(__m512 low, __m512 high, __m512i* parts) noexcept {
  if constexpr (Parts == 1) {
    const __m512i first = _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(low)));
    const __m512i second =
        _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(high)));
    parts[0] = _mm512_or_si512(first, _mm512_slli_epi32(second, 16));
  } else {
    // Halves round away from 0: they are as far from either neighbor, and what is left is exact.
    const __m512i half = _mm512_set1_epi32(0x8000);
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000));
#pragma GCC unroll 3
    for (int part = 0; part < Parts; ++part) {
      __m512i first = _mm512_castps_si512(low);
      __m512i second = _mm512_castps_si512(high);
      if (part < 2) {
        first = _mm512_add_epi32(first, half);
        second = _mm512_and_si512(_mm512_add_epi32(second, half), upper);
      }
      if (part + 1 < Parts) {
        low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_and_si512(first, upper)));
        high = _mm512_sub_ps(high, _mm512_castsi512_ps(second));
      }
      parts[part] = _mm512_or_si512(_mm512_srli_epi32(first, 16), second);
    }
  }
}

/// How the lines of a matrix lie in memory.
enum class Lie : std::uint8_t {
  along_k,       ///< neighbors along k are neighbors
  across_lines,  ///< neighboring lines are neighbors
  apart          ///< neither
};
template <class A, class In>
Lie lie_of(const Lines<In>& lines) noexcept {
  if (lines.k == 1) return Lie::along_k;
  return lines.line == 1 ? Lie::across_lines : Lie::apart;
}

/// One row of up to 32 floats along k or across lines, those that `mask` leaves out 0.
template <class A>
__m512 load_half(const float* from, __mmask32 mask) noexcept {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
}

/// A line's 32 elements along k, read one by one.
template <class A, class In>
void gather_line(const In* from, std::int64_t k, std::int64_t depth, In* to) noexcept {
  for (std::int64_t i = 0; i < block_size; ++i) to[i] = i < depth ? from[i * k] : In{};
}

/// Packs a block of floats of which `lines` lines and `depth` elements along k exist; zeros stand
/// for the others, but for the second tile, which is not written where `lines` ≤ 16. Elements 16
/// apart along k make a pair: any two may, and these need no shuffling.
template <class A, int Parts, bool ByLine, Lie L>
void pack_block(
    const Lines<float>& from,
    std::int64_t lines,
    std::int64_t depth,
    [[maybe_unused]] Exponents<A>& exponents,
    Pair* to) noexcept {
  constexpr bool turned = ByLine != (L != Lie::across_lines);
  [[maybe_unused]] const __mmask32 deep = first_of_32<A>(depth);
  for (int group = 0; group < 2 && 16 * group < lines; ++group, to += tile_pairs) {
    const __mmask32 wide = first_of_32<A>(std::min<std::int64_t>(lines - 16 * group, 16));
    const float* data = from.data + 16 * group * from.line;
    const auto load = [&](int i, __m512& low, __m512& high) {
      if constexpr (L == Lie::across_lines) {
        // Past the end of k the address is of no matter: nothing is read through an empty mask.
        low = load_half<A>(data + i * from.k, i < depth ? wide : 0);
        high = load_half<A>(data + (i + 16) * from.k, i + 16 < depth ? wide : 0);
      } else {
        alignas(64) float elements[block_size];
        const float* line = data + i * from.line;
        const __mmask32 mask = (wide >> i & 1) != 0 ? deep : 0;
        if constexpr (L == Lie::apart) {
          gather_line<A>(line, from.k, mask != 0 ? depth : 0, elements);
          line = elements;
        }
        low = load_half<A>(line, mask);
        high = load_half<A>(line + 16, mask >> 16);
      }
      if constexpr (Parts > 1) {
        exponents.note(low);
        exponents.note(high);
      }
    };
    const auto store = [&](int i, const __m512i* parts) {
#pragma GCC unroll 3
      for (int part = 0; part < Parts; ++part)
        _mm512_storeu_si512(to + part * part_pairs + i * 16, parts[part]);
    };
    if constexpr (!turned) {
      for (int i = 0; i < 16; ++i) {
        __m512 low, high;
        __m512i parts[Parts];
        load(i, low, high);
        split_pairs<A, Parts>(low, high, parts);
        store(i, parts);
      }
    } else if constexpr (Parts == 1) {
      __m512i square[16];
      for (int i = 0; i < 16; ++i) {
        __m512 low, high;
        load(i, low, high);
        split_pairs<A, 1>(low, high, &square[i]);
      }
      transpose_words<A>(square);
      for (int i = 0; i < 16; ++i) store(i, &square[i]);
    } else {
      // Two squares of floats are turned over sooner than three of parts.
      __m512i low[16], high[16];
      for (int i = 0; i < 16; ++i) {
        __m512 first, second;
        load(i, first, second);
        low[i] = _mm512_castps_si512(first);
        high[i] = _mm512_castps_si512(second);
      }
      transpose_words<A>(low);
      transpose_words<A>(high);
      for (int i = 0; i < 16; ++i) {
        __m512i parts[Parts];
        split_pairs<A, Parts>(_mm512_castsi512_ps(low[i]), _mm512_castsi512_ps(high[i]), parts);
        store(i, parts);
      }
    }
  }
}

/// The same for bfloat16, whose neighbors along k are pairs.
template <class A, int Parts, bool ByLine, Lie L>
void pack_block(
    const Lines<BFloat16>& from,
    std::int64_t lines,
    std::int64_t depth,
    Exponents<A>&,
    Pair* to) noexcept {
  static_assert(Parts == 1);
  if constexpr (L == Lie::across_lines) {
    const __mmask32 wide = first_of_32<A>(lines);
    __m512i square[2][16];
    for (int pair = 0; pair < 16; ++pair) {
      const BFloat16* const at = from.data + 2 * pair * from.k;
      const __m512i even = _mm512_maskz_loadu_epi16(2 * pair < depth ? wide : 0, at);
      const __m512i odd = _mm512_maskz_loadu_epi16(2 * pair + 1 < depth ? wide : 0, at + from.k);
      interleave<A>(even, odd, square[0][pair], square[1][pair]);
      if constexpr (!ByLine) {
        _mm512_storeu_si512(to + pair * 16, square[0][pair]);
        if (lines > 16) _mm512_storeu_si512(to + tile_pairs + pair * 16, square[1][pair]);
      }
    }
    if constexpr (ByLine)
      for (int group = 0; group < 2 && 16 * group < lines; ++group, to += tile_pairs) {
        transpose_words<A>(square[group]);
        for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * 16, square[group][i]);
      }
  } else {
    const __mmask32 deep = first_of_32<A>(depth);
    for (int group = 0; group < 2 && 16 * group < lines; ++group, to += tile_pairs) {
      __m512i square[16];
      for (int i = 0; i < 16; ++i) {
        const std::int64_t line = 16 * group + i;
        const BFloat16* at = from.data + line * from.line;
        alignas(64) BFloat16 elements[block_size];
        if constexpr (L == Lie::apart) {
          gather_line<A>(at, from.k, line < lines ? depth : 0, elements);
          at = elements;
        }
        square[i] = _mm512_maskz_loadu_epi16(line < lines ? deep : 0, at);
        if constexpr (ByLine) _mm512_storeu_si512(to + i * 16, square[i]);
      }
      if constexpr (!ByLine) {
        transpose_words<A>(square);
        for (int i = 0; i < 16; ++i) _mm512_storeu_si512(to + i * 16, square[i]);
      }
    }
  }
}

/// Packs `lines` lines, `depth` elements deep, as [32 lines][32 elements] of blocks; the blocks of
/// neighboring lines lie `line_step` pairs apart. What their exponents are is added to a range for
/// each 32 lines, if there are several parts.
template <class A, class In, int Parts, bool ByLine, Lie L>
void pack_blocks_lying(
    const Lines<In>& from,
    std::int64_t lines,
    std::int64_t depth,
    Pair* to,
    std::int64_t line_step,
    ExponentRange* ranges) noexcept {
  // In memory's order, some lines at a time: pages are read on while they are near.
  constexpr std::int64_t strip = L == Lie::across_lines ? 8 : 1;
  for (std::int64_t first = 0; first < lines; first += strip * block_size) {
    Exponents<A> exponents[strip];
    const std::int64_t end = std::min(lines, first + strip * block_size);
    for (std::int64_t k = 0; k < depth; k += block_size)
      for (std::int64_t line = first; line < end; line += block_size)
        pack_block<A, Parts, ByLine, L>(
            from.at(line, k),
            std::min(block_size, lines - line),
            std::min(block_size, depth - k),
            exponents[(line - first) / block_size],
            to + line / block_size * line_step + k / block_size * Parts * part_pairs);
    if constexpr (Parts > 1)
      for (std::int64_t line = first; line < end; line += block_size)
        widen<A>(ranges[line / block_size], exponents[(line - first) / block_size].range());
  }
}
template <class A, class In, int Parts, bool ByLine>
void pack_blocks(
    const Lines<In>& from,
    std::int64_t lines,
    std::int64_t depth,
    Pair* to,
    std::int64_t line_step,
    ExponentRange* ranges) noexcept {
  switch (lie_of<A>(from)) {
    case Lie::along_k:
      return pack_blocks_lying<A, In, Parts, ByLine, Lie::along_k>(
          from, lines, depth, to, line_step, ranges);
    case Lie::across_lines:
      return pack_blocks_lying<A, In, Parts, ByLine, Lie::across_lines>(
          from, lines, depth, to, line_step, ranges);
    case Lie::apart:
      return pack_blocks_lying<A, In, Parts, ByLine, Lie::apart>(
          from, lines, depth, to, line_step, ranges);
  }
}

}  // namespace troupe::cpu
