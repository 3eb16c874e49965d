#pragma once

#include "gemm_tile.hpp"

#include <algorithm>

namespace troupe::cpu {

/// The A of a run of tiles: rows of a strided matrix, or tiles packed one behind the other as
/// [k][row].
template <class T>
struct LeftRows {
  const T* data = nullptr;  ///< row 0
  bool packed = false;
};

/// How the sums of one block of depth go on to the next.
template <class T>
struct Carry {
  bool first = true;  ///< this is the first block: sums start at 0
  bool last = true;   ///< this is the last block: sums go to C, the bias is added
  /// Where sums wait between blocks, dense and in the order of tiles; null: in C.
  T* sums = nullptr;
};

/// Multiplies the row tiles from `first` to `end` with the panel at `tile.b`, or with as many
/// packed panels, one behind the other, as `columns` fill; the last may be cut off.
///
/// `tile` gives everything but A's address; its `c` and `row_bias` are those of row 0. A panel cut
/// off by the matrix's edge is computed at full vector width, behind a mask or beside the result
/// and copied: the same instructions, hence the same bits, as anywhere else. Tiles are the outer
/// loop: each of their rows is written from left to right, which is what prefetching hardware looks
/// for.
template <class T, class A>
void multiply_panels(
    TileCall<T> tile,
    const RowTiles<A>& row_tiles,
    std::int64_t first,
    std::int64_t end,
    const LeftRows<T>& left,
    std::int64_t columns,
    const Carry<T>& carry) noexcept {
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  constexpr std::int64_t width = Tile<T, A>::columns;
  const auto& functions = tile_table<T, A>();
  const T* const b = tile.b;
  T* const c = tile.c;
  const std::int64_t c_row = tile.c_row;
  const T* const row_bias = carry.last ? tile.row_bias : nullptr;
  if (!carry.last) tile.column_bias = tile.row_bias = nullptr;
  alignas(64) T edge[Tile<T, A>::rows * width];
  T* sums = carry.sums;
  std::int64_t row = row_tiles.begin(first);
  for (std::int64_t i = first; i < end; ++i) {
    const std::int64_t next = row_tiles.begin(i + 1);
    const std::int64_t rows = next - row;
    if (left.packed) {
      tile.a = left.data + row * tile.k;
      tile.a_row = 1;
      tile.a_k = rows;
    } else {
      tile.a = left.data + row * tile.a_row;
    }
    if (row_bias) tile.row_bias = row_bias + row;
    for (std::int64_t j = 0; j < columns; j += width) {
      const std::int64_t rest = columns - j;
      const TileFunction<T> function = functions[rest > lanes][rows - 1];
      T* const at = c + row * c_row + j;
      const bool whole = Tile<T, A>::cuts_rows || rest >= width || rest == lanes;
      tile.b = b + j * tile.k;
      tile.columns = std::min(rest, width);
      if (sums) {
        tile.from = carry.first ? nullptr : sums;
        tile.from_row = width;
      } else {
        tile.from = carry.first ? nullptr : at;
        tile.from_row = c_row;
      }
      if (sums && !carry.last) {
        tile.c = sums;
        tile.c_row = width;
        function(tile);
      } else if (whole) {
        tile.c = at;
        tile.c_row = c_row;
        function(tile);
      } else {
        if (tile.from == at) {
          for (std::int64_t r = 0; r < rows; ++r)
            for (std::int64_t p = 0; p < width; ++p)
              edge[r * width + p] = p < rest ? at[r * c_row + p] : T(0);
          tile.from = edge;
          tile.from_row = width;
        }
        tile.c = edge;
        tile.c_row = width;
        function(tile);
        for (std::int64_t r = 0; r < rows; ++r) std::copy_n(edge + r * width, rest, at + r * c_row);
      }
      if (sums) sums += rows * width;
    }
    row = next;
  }
}

}  // namespace troupe::cpu
