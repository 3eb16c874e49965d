#pragma once

#include "kernel.hpp"
#include "transpose_words.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>

/// Packing for products whose factors are bfloat16: pairs of elements along k, as the instructions
/// that multiply them want them. Compiled for AVX-512 with its bfloat16 extension and newer only;
/// `A` names the instruction set.
namespace troupe::cpu {

/// Two neighbors along k, the first in the low half.
using Pair = std::uint32_t;

/// Pairs of k in one step of packing, and in one row of a tile of AMX.
inline constexpr std::int64_t pack_pairs = 16;
/// Columns of B side by side in a packed panel: [pair][column].
inline constexpr std::int64_t panel_columns = 32;

/// The binary exponents of the numbers of a panel that are not 0, as IEEE stores them: 0 for
/// denormals, 255 for infinities and NaNs. `least` > `most` where all are 0.
struct ExponentRange {
  std::int32_t least = 255;
  std::int32_t most = 0;
};

/// 32 neighboring elements as `Parts` bfloat16 each: the first is the element rounded, the next
/// what is left of it, rounded, and so on. A float of normal size is the sum of three exactly.
template <class A, class In, int Parts>
struct Split {
  __m512i part[Parts];

  /// Elements that `mask` leaves out are 0.
  static Split load(const In* from, __mmask32 mask, [[maybe_unused]] __m512i* exponents) noexcept {
    Split split;
    if constexpr (std::is_same_v<In, float>) {
      __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
      __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), from + 16);
      if constexpr (Parts > 1) {
        note(low, exponents);
        note(high, exponents);
      }
#pragma GCC unroll 3
      for (int p = 0; p < Parts; ++p) {
        split.part[p] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
        if (p + 1 == Parts) break;
        low = _mm512_sub_ps(low, widen(_mm512_castsi512_si256(split.part[p])));
        high = _mm512_sub_ps(high, widen(_mm512_extracti64x4_epi64(split.part[p], 1)));
      }
    } else {
      static_assert(Parts == 1);
      split.part[0] = _mm512_maskz_loadu_epi16(mask, from);
    }
    return split;
  }

 private:
  static __m512 widen(__m256i halves) noexcept {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  /// Keeps the least and the largest exponent, lane by lane, in two registers.
  static void note(__m512 x, __m512i* exponents) noexcept {
    const __m512i bits = _mm512_slli_epi32(_mm512_castps_si512(x), 1);
    const __mmask16 some = _mm512_test_epi32_mask(bits, bits);
    const __m512i exponent = _mm512_srli_epi32(bits, 24);
    exponents[0] = _mm512_mask_min_epi32(exponents[0], some, exponents[0], exponent);
    exponents[1] = _mm512_mask_max_epi32(exponents[1], some, exponents[1], exponent);
  }
};

/// A mask of the first `count` of 32.
template <class A>
__mmask32 first_of_32(std::int64_t count) noexcept {
  return count >= 32 ? ~0u : count <= 0 ? 0u : (1u << count) - 1;
}

/// Two lines of 32 elements, neighbors along k, as 32 pairs: 16 in each result.
template <class A>
void interleave(__m512i even, __m512i odd, __m512i& low, __m512i& high) noexcept {
  alignas(64) static constexpr std::uint16_t places[32] = {
      0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
      8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i first = _mm512_load_si512(places);
  const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
  low = _mm512_permutex2var_epi16(even, first, odd);
  high = _mm512_permutex2var_epi16(even, second, odd);
}

/// A matrix of which lines are packed: `line` elements lie between two of them, `k` elements
/// between neighbors along k.
template <class In>
struct Lines {
  const In* data = nullptr;
  std::int64_t line = 0;
  std::int64_t k = 0;
};

/// Reads 16 pairs along k of up to 16 · `Groups` lines, in whichever order they lie, and gives them
/// to `store(part, group, pair, pairs of 16 lines)`, or, where `ByLine`, to `store(part, group,
/// line of the group, 16 pairs of it)`. What is outside of `lines` and `depth` (elements along k)
/// is 0.
template <class A, class In, int Parts, int Groups, bool ByLine, class Store>
void pack_step(
    const Lines<In>& from,
    std::int64_t lines,
    std::int64_t depth,
    __m512i* exponents,
    const Store& store) noexcept {
  using S = Split<A, In, Parts>;
  if (from.line == 1 && from.k != 1) {
    __m512i square[Parts][Groups][16];
    const __mmask32 mask = first_of_32<A>(std::min<std::int64_t>(lines, 16 * Groups));
    for (int pair = 0; pair < pack_pairs; ++pair) {
      const In* const at = from.data + 2 * pair * from.k;
      // Past the end of k the address is of no matter: nothing is read through an empty mask.
      const S even = S::load(at, 2 * pair < depth ? mask : 0, exponents);
      const S odd = S::load(at + from.k, 2 * pair + 1 < depth ? mask : 0, exponents);
#pragma GCC unroll 3
      for (int p = 0; p < Parts; ++p) {
        __m512i half[2];
        interleave<A>(even.part[p], odd.part[p], half[0], half[1]);
        for (int g = 0; g < Groups; ++g)
          if constexpr (ByLine)
            square[p][g][pair] = half[g];
          else
            store(p, g, pair, half[g]);
      }
    }
    if constexpr (ByLine)
      for (int p = 0; p < Parts; ++p)
        for (int g = 0; g < Groups; ++g) {
          transpose_words<A>(square[p][g]);
          for (int i = 0; i < 16; ++i) store(p, g, i, square[p][g][i]);
        }
    return;
  }
  const __mmask32 mask = first_of_32<A>(depth);
  for (int g = 0; g < Groups; ++g) {
    __m512i square[Parts][16];
    for (int i = 0; i < 16; ++i) {
      const std::int64_t line = 16 * g + i;
      S row;
      if (line >= lines) {
        for (int p = 0; p < Parts; ++p) row.part[p] = _mm512_setzero_si512();
      } else if (from.k == 1) {
        row = S::load(from.data + line * from.line, mask, exponents);
      } else {
        alignas(64) In elements[32];
        for (std::int64_t j = 0; j < 32; ++j)
          elements[j] = j < depth ? from.data[line * from.line + j * from.k] : In{};
        row = S::load(elements, ~0u, exponents);
      }
      for (int p = 0; p < Parts; ++p)
        if constexpr (ByLine)
          store(p, g, i, row.part[p]);
        else
          square[p][i] = row.part[p];
    }
    if constexpr (!ByLine)
      for (int p = 0; p < Parts; ++p) {
        transpose_words<A>(square[p]);
        for (int i = 0; i < 16; ++i) store(p, g, i, square[p][i]);
      }
  }
}

/// Packs up to 16 · `Groups` lines, `k` elements deep, step by step, as `pack_step` reads them:
/// `store(first pair of the step, part, group, pair or line, pairs)`.
template <class A, class In, int Parts, int Groups, bool ByLine, class Store>
ExponentRange pack_steps(
    const Lines<In>& from, std::int64_t lines, std::int64_t k, const Store& store) noexcept {
  __m512i exponents[2] = {_mm512_set1_epi32(255), _mm512_setzero_si512()};
  for (std::int64_t done = 0; done < k; done += 2 * pack_pairs) {
    const auto here = [&](int part, int group, int i, __m512i pairs) {
      store(done / 2, part, group, i, pairs);
    };
    const Lines<In> step{from.data + done * from.k, from.line, from.k};
    if (lines > 16)
      pack_step<A, In, Parts, Groups, ByLine>(step, lines, k - done, exponents, here);
    else
      pack_step<A, In, Parts, 1, ByLine>(step, lines, k - done, exponents, here);
  }
  return {_mm512_reduce_min_epi32(exponents[0]), _mm512_reduce_max_epi32(exponents[1])};
}

/// Packs `columns` columns of B, `k` elements deep, as [pair][column] of 32 columns and of whole
/// steps of 16 pairs, zeros where there is nothing. Parts lie `part_size` pairs apart.
template <class A, class In, int Parts>
ExponentRange pack_panel(
    const Lines<In>& from,
    std::int64_t columns,
    std::int64_t k,
    Pair* to,
    std::int64_t part_size) noexcept {
  return pack_steps<A, In, Parts, 2, false>(
      from, columns, k, [&](std::int64_t first, int part, int group, int pair, __m512i pairs) {
        _mm512_storeu_si512(
            to + part * part_size + (first + pair) * panel_columns + 16 * group, pairs);
      });
}

}  // namespace troupe::cpu
