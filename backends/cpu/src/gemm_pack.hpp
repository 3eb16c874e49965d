#pragma once

#include "gemm_tile.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::cpu {

/// The square block that `transpose_block` turns over in registers.
template <class T, class A>
inline constexpr int transpose_size =
    static_cast<int>(std::min<std::size_t>(sizeof(Vec<T, A>), 32) / sizeof(T));

/// Writes the transpose of a square block. Only the first `rows` rows are read; what the missing
/// ones would have given is a copy of the last.
template <class T, class A>
inline void transpose_block(
    const T* from, std::int64_t from_row, int rows, T* to, std::int64_t to_row) noexcept {
  constexpr int size = transpose_size<T, A>;
  using Register [[gnu::vector_size(size * sizeof(T))]] = T;
  Register in[size];
  if (rows >= size) {
#pragma GCC unroll 8
    for (int i = 0; i < size; ++i) std::memcpy(&in[i], from + i * from_row, sizeof(Register));
  } else {
#pragma GCC unroll 8
    for (int i = 0; i < size; ++i) {
      std::memcpy(&in[i], from, sizeof(Register));
      // Not by the number of the row: the compiler finds all addresses at once in a vector, and
      // waits for each to come out of it.
      from += i + 1 < rows ? from_row : 0;
    }
  }

  // Each stage doubles the distance over which elements change places: 1 within pairs of registers,
  // then 2, then 4 (the two halves of an AVX register).
  Register out[size];
  if constexpr (size == 2) {
    out[0] = __builtin_shufflevector(in[0], in[1], 0, 2);
    out[1] = __builtin_shufflevector(in[0], in[1], 1, 3);
  } else if constexpr (size == 4) {
    Register pair[4];
    pair[0] = __builtin_shufflevector(in[0], in[1], 0, 4, 2, 6);
    pair[1] = __builtin_shufflevector(in[0], in[1], 1, 5, 3, 7);
    pair[2] = __builtin_shufflevector(in[2], in[3], 0, 4, 2, 6);
    pair[3] = __builtin_shufflevector(in[2], in[3], 1, 5, 3, 7);
    out[0] = __builtin_shufflevector(pair[0], pair[2], 0, 1, 4, 5);
    out[1] = __builtin_shufflevector(pair[1], pair[3], 0, 1, 4, 5);
    out[2] = __builtin_shufflevector(pair[0], pair[2], 2, 3, 6, 7);
    out[3] = __builtin_shufflevector(pair[1], pair[3], 2, 3, 6, 7);
  } else {
    Register pair[8];
    Register quad[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
      pair[i] = __builtin_shufflevector(in[i], in[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
      pair[i + 1] = __builtin_shufflevector(in[i], in[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
      quad[i] = __builtin_shufflevector(pair[i], pair[i + 2], 0, 1, 8, 9, 4, 5, 12, 13);
      quad[i + 1] = __builtin_shufflevector(pair[i], pair[i + 2], 2, 3, 10, 11, 6, 7, 14, 15);
      quad[i + 2] = __builtin_shufflevector(pair[i + 1], pair[i + 3], 0, 1, 8, 9, 4, 5, 12, 13);
      quad[i + 3] = __builtin_shufflevector(pair[i + 1], pair[i + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) {
      out[i] = __builtin_shufflevector(quad[i], quad[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
      out[i + 4] = __builtin_shufflevector(quad[i], quad[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < size; ++i) std::memcpy(to + i * to_row, &out[i], sizeof(Register));
}

/// Packs `rows` rows of A, `k` deep, so that the tile reads them in order: to[k][row].
template <class T, class A>
void pack_rows(
    const T* a,
    std::int64_t a_row,
    std::int64_t a_k,
    std::int64_t rows,
    std::int64_t k,
    T* to) noexcept {
  constexpr std::int64_t size = transpose_size<T, A>;
  std::int64_t done = 0;
  if (a_k == 1) {
    // Whole blocks are stored past the end of their row; what they spoil is written later: the last
    // group of rows goes first, and a step of k goes before the next. The last steps of k are left
    // to the plain loop below, for behind them may lie somebody else's tile.
    const std::int64_t whole = k >= 2 * size ? (k - 1) / size * size - size : 0;
    for (; done < whole; done += size)
      for (std::int64_t i = (rows - 1) / size * size; i >= 0; i -= size)
        transpose_block<T, A>(
            a + i * a_row + done,
            a_row,
            static_cast<int>(std::min(size, rows - i)),
            to + done * rows + i,
            rows);
  }
  for (; done < k; ++done)
    for (std::int64_t i = 0; i < rows; ++i) to[done * rows + i] = a[i * a_row + done * a_k];
}

/// Packs `columns` columns of B, `k` deep, to[k][column]. What lies behind the last column, up to
/// the tile's full width, is zeros or columns once more: it is multiplied, and nobody looks.
template <class T, class A>
void pack_columns(
    const T* b,
    std::int64_t b_k,
    std::int64_t b_column,
    std::int64_t columns,
    std::int64_t k,
    T* to) noexcept {
  using Register = Vec<T, A>;
  constexpr std::int64_t width = Tile<T, A>::columns;
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  if (columns == width && b_column == 1) {
    for (std::int64_t i = 0; i < k; ++i, b += b_k, to += width)
#pragma GCC unroll 4
      for (int v = 0; v < Tile<T, A>::vectors; ++v)
        Register::load_unaligned(b + v * lanes).store_unaligned(to + v * lanes);
    return;
  }
  std::int64_t done = 0;
  if (b_k == 1) {
    constexpr std::int64_t size = transpose_size<T, A>;
    for (; done + size <= k; done += size)
      for (std::int64_t j = 0; j < width; j += size) {
        T* const at = to + done * width + j;
        const T* const from = b + j * b_column + done;
        if (j + size <= columns)
          transpose_block<T, A>(from, b_column, static_cast<int>(size), at, width);
        else if (j < columns)
          transpose_block<T, A>(from, b_column, static_cast<int>(columns - j), at, width);
        else
          for (std::int64_t i = 0; i < size; ++i) std::fill_n(at + i * width, size, T(0));
      }
  }
  for (; done < k; ++done) {
    std::int64_t j = 0;
    for (; j < columns; ++j) to[done * width + j] = b[done * b_k + j * b_column];
    for (; j < width; ++j) to[done * width + j] = T(0);
  }
}

}  // namespace troupe::cpu
