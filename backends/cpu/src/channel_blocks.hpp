#pragma once

#include "narrow_pack.hpp"

#include <algorithm>
#include <cstdint>

/// Images of 16-bit numbers between the two orders in which kernels for tiles meet them: planes of
/// channels, and channels side by side in blocks. Compiled for AVX-512 with its bfloat16 extension
/// and newer only; `A` names the instruction set.
namespace troupe::cpu {

/// Channels in a block: those that fill a register, and a row of a tile.
inline constexpr std::int64_t block_channels = 32;

/// Turns over a square of 32 × 32 numbers: calls `store(j, column j)` with what `load(i)`, the
/// rows, had there.
template <class A, class Load, class Store>
[[gnu::always_inline]] inline void turn_square(const Load& load, const Store& store) noexcept {
  __m512i low[16], high[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) interleave<A>(load(2 * i), load(2 * i + 1), low[i], high[i]);
  transpose_words<A>(low);
  transpose_words<A>(high);
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j) store(j, low[j]);
#pragma GCC unroll 16
  for (int j = 0; j < 16; ++j) store(16 + j, high[j]);
}

/// A rectangle of an image of which `channel`, `row` and `column` elements lie between neighbors.
struct ImagePart {
  const BFloat16* data = nullptr;
  std::int64_t channel = 0;
  std::int64_t row = 0;
  std::int64_t column = 0;
  std::int64_t channels = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;
};

/// Calls `store(row, column, block, 32 channels)` for each place of the part and each block of its
/// channels; channels that it does not have are 0.
template <class A, class Store>
void read_places(const ImagePart& part, const Store& store) noexcept {
  const std::int64_t blocks = (part.channels + block_channels - 1) / block_channels;
  if (part.channel == 1) {
    for (std::int64_t row = 0; row < part.rows; ++row)
      for (std::int64_t column = 0; column < part.columns; ++column) {
        const BFloat16* const from = part.data + row * part.row + column * part.column;
        for (std::int64_t block = 0; block < blocks; ++block) {
          const std::int64_t first = block * block_channels;
          const __mmask32 mask = first_of_32<A>(part.channels - first);
          store(row, column, block, _mm512_maskz_loadu_epi16(mask, from + first));
        }
      }
    return;
  }
  // Rows that lie one behind the other are one long row.
  const bool dense = part.row == part.columns * part.column;
  const std::int64_t runs = dense ? 1 : part.rows;
  const std::int64_t length = dense ? part.rows * part.columns : part.columns;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t channels = std::min(block_channels, part.channels - block * block_channels);
    for (std::int64_t run = 0; run < runs; ++run) {
      std::int64_t row = run;
      std::int64_t column = 0;
      const BFloat16* from = part.data + block * block_channels * part.channel + run * part.row;
      for (std::int64_t place = 0; place < length; place += 32, from += 32 * part.column) {
        const std::int64_t count = std::min<std::int64_t>(32, length - place);
        const __mmask32 mask = first_of_32<A>(count);
        const auto load = [&](std::int64_t channel) {
          if (channel >= channels) return _mm512_setzero_si512();
          const BFloat16* const at = from + channel * part.channel;
          if (part.column == 1) return _mm512_maskz_loadu_epi16(mask, at);
          alignas(64) BFloat16 elements[32] = {};
          for (std::int64_t i = 0; i < count; ++i) elements[i] = at[i * part.column];
          return _mm512_load_si512(elements);
        };
        __m512i turned[32];
        turn_square<A>(load, [&](int i, __m512i channels_of) { turned[i] = channels_of; });
        for (std::int64_t i = 0; i < count; ++i) {
          store(row, column, block, turned[i]);
          if (++column == part.columns) {
            column = 0;
            ++row;
          }
        }
      }
    }
  }
}

}  // namespace troupe::cpu
