#pragma once

#include "kernel.hpp"
#include "transpose_words.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

/// Packing for products whose factors are bfloat16: pairs of neighbors along k. Compiled for
/// AVX-512 with its bfloat16 extension and newer only; `A` names the instruction set.
namespace troupe::cpu {

/// Two neighbors along k, the first in the low half.
using Pair = std::uint32_t;

/// Pairs of k in one step of packing.
inline constexpr std::int64_t pack_pairs = 16;
/// Columns of B side by side in a packed panel: [pair][column].
inline constexpr std::int64_t panel_columns = 32;

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

  /// Those from line `first` on, their elements from `depth` on.
  [[gnu::always_inline]] Lines at(std::int64_t first, std::int64_t depth) const noexcept {
    return {data + first * line + depth * k, line, k};
  }
};

/// 32 neighboring elements, rounded; those that `mask` leaves out are 0.
template <class A, class In>
__m512i load_rounded(const In* from, __mmask32 mask) noexcept {
  if constexpr (std::is_same_v<In, float>) {
    const __m512 low = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask), from);
    const __m512 high = _mm512_maskz_loadu_ps(static_cast<__mmask16>(mask >> 16), from + 16);
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
  } else {
    return _mm512_maskz_loadu_epi16(mask, from);
  }
}

/// Reads 16 pairs along k of up to 16 · `Groups` lines, in whichever order they lie, and gives them
/// to `store(group, pair, pairs of 16 lines)`. What is outside of `lines` and `depth` (elements
/// along k) is 0.
template <class A, class In, int Groups, class Store>
void pack_step(
    const Lines<In>& from, std::int64_t lines, std::int64_t depth, const Store& store) noexcept {
  if (from.line == 1 && from.k != 1) {
    const __mmask32 mask = first_of_32<A>(std::min<std::int64_t>(lines, 16 * Groups));
    for (int pair = 0; pair < pack_pairs; ++pair) {
      const In* const at = from.data + 2 * pair * from.k;
      // Past the end of k the address is of no matter: nothing is read through an empty mask.
      const __m512i even = load_rounded<A>(at, 2 * pair < depth ? mask : 0);
      const __m512i odd = load_rounded<A>(at + from.k, 2 * pair + 1 < depth ? mask : 0);
      __m512i half[2];
      interleave<A>(even, odd, half[0], half[1]);
      for (int g = 0; g < Groups; ++g) store(g, pair, half[g]);
    }
    return;
  }
  const __mmask32 mask = first_of_32<A>(depth);
  for (int g = 0; g < Groups; ++g) {
    __m512i square[16];
    for (int i = 0; i < 16; ++i) {
      const std::int64_t line = 16 * g + i;
      if (line >= lines) {
        square[i] = _mm512_setzero_si512();
      } else if (from.k == 1) {
        square[i] = load_rounded<A>(from.data + line * from.line, mask);
      } else {
        alignas(64) In elements[32];
        for (std::int64_t j = 0; j < 32; ++j)
          elements[j] = j < depth ? from.data[line * from.line + j * from.k] : In{};
        square[i] = load_rounded<A>(elements, ~0u);
      }
    }
    transpose_words<A>(square);
    for (int i = 0; i < 16; ++i) store(g, i, square[i]);
  }
}

/// Packs up to 16 · `Groups` lines, `k` elements deep, step by step, as `pack_step` reads them:
/// `store(first pair of the step, group, pair, pairs)`.
template <class A, class In, int Groups, class Store>
void pack_steps(
    const Lines<In>& from, std::int64_t lines, std::int64_t k, const Store& store) noexcept {
  for (std::int64_t done = 0; done < k; done += 2 * pack_pairs) {
    const auto here = [&](int group, int i, __m512i pairs) { store(done / 2, group, i, pairs); };
    const Lines<In> step{from.data + done * from.k, from.line, from.k};
    if (lines > 16)
      pack_step<A, In, Groups>(step, lines, k - done, here);
    else
      pack_step<A, In, 1>(step, lines, k - done, here);
  }
}

/// Packs `columns` columns of B, `k` elements deep, as [pair][column] of 32 columns and of whole
/// steps of 16 pairs, zeros where there is nothing.
template <class A, class In>
void pack_panel(const Lines<In>& from, std::int64_t columns, std::int64_t k, Pair* to) noexcept {
  pack_steps<A, In, 2>(
      from, columns, k, [&](std::int64_t first, int group, int pair, __m512i pairs) {
        _mm512_storeu_si512(to + (first + pair) * panel_columns + 16 * group, pairs);
      });
}

}  // namespace troupe::cpu
