#pragma once

#include "kernel.hpp"
#include "narrow_pack.hpp"

#include <immintrin.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

/// What products on units for pairs do with complete sums. Compiled for AVX-512 with its bfloat16
/// extension only.
namespace troupe::cpu {

/// Sums of two vectors of columns, of which `columns` exist, to a row of C, rounded to its type.
template <class Unit, class Out>
void store_row(Out* to, __m512 low, __m512 high, std::int64_t columns) noexcept {
  const __mmask32 mask = first_of_32<Unit>(columns);
  if constexpr (std::is_same_v<Out, float>) {
    _mm512_mask_storeu_ps(to, static_cast<__mmask16>(mask), low);
    if (columns > 16) _mm512_mask_storeu_ps(to + 16, static_cast<__mmask16>(mask >> 16), high);
  } else {
    const __m512bh rounded = _mm512_cvtne2ps_pbh(high, low);
    _mm512_mask_storeu_epi16(to, mask, reinterpret_cast<const __m512i&>(rounded));
  }
}

/// The bias of a panel's columns, widened; `step` 0: that of the first for all.
template <class Unit, class Out>
void load_bias(
    const View& view,
    std::int64_t column,
    std::int64_t step,
    std::int64_t columns,
    float* to) noexcept {
  const Out* const from = view.as<const Out>();
  for (std::int64_t j = 0; j < panel_columns; ++j) {
    to[j] = 0;
    if (j >= columns) continue;
    const Out& one = from[(column + j) * step * view.strides[0]];
    if constexpr (std::is_same_v<Out, float>) {
      to[j] = one;
    } else {
      const std::uint32_t bits = static_cast<std::uint32_t>(one.bits) << 16;
      std::memcpy(&to[j], &bits, sizeof bits);
    }
  }
}

}  // namespace troupe::cpu
