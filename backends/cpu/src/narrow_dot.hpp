#pragma once

#include "gemm_narrow.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

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

/// Pairs multiplied by vdpbf16ps, 16 sums at a time: like a chain of FMAs, but with two products a
/// step, which the processor adds one after the other, taking denormals for 0.
///
/// Its tile is that of float32: two vectors wide, 14 rows. A's pairs are broadcast one by one, so
/// rows with an even number of elements may lie anywhere.
template <class A>
struct DotUnit {
  static constexpr std::int64_t rows = 14;
  static constexpr bool reads_pairs = true;  ///< from rows where they lie

  static std::int64_t row_begin(std::int64_t tile, std::int64_t tiles, std::int64_t m) noexcept {
    return tile * m / tiles;
  }
  static std::int64_t padded_rows(std::int64_t m) noexcept { return m; }

  /// Packs some rows as [pair][row].
  template <class In, int Parts>
  static ExponentRange pack_rows(
      const Lines<In>& from, std::int64_t lines, std::int64_t k, Pair* to) noexcept {
    const std::int64_t part_size =
        lines * ((k + 2 * pack_pairs - 1) / (2 * pack_pairs)) * pack_pairs;
    const auto mask = static_cast<__mmask16>(first_of_32<DotUnit>(lines));
    return pack_steps<DotUnit, In, Parts, 1, false>(
        from, lines, k, [&](std::int64_t first, int part, int, int pair, __m512i pairs) {
          _mm512_mask_storeu_epi32(to + part * part_size + (first + pair) * lines, mask, pairs);
        });
  }
  /// Says where a tile's packed rows are, from a pair on.
  static void place_rows(
      const Pair* packed,
      std::int64_t lines,
      std::int64_t packed_pairs,
      std::int64_t pair,
      NarrowTile& tile) noexcept {
    tile.a = reinterpret_cast<const std::byte*>(packed + pair * lines);
    tile.a_row = sizeof(Pair);
    tile.a_pair = lines * static_cast<std::int64_t>(sizeof(Pair));
    tile.a_part = lines * packed_pairs * static_cast<std::int64_t>(sizeof(Pair));
  }

  template <int Parts, class Out>
  void multiply(const NarrowTile& tile, std::int64_t lines) const noexcept {
    static_assert(Parts == 1, "more parts than one take longer than FMAs");
    static constexpr auto narrow = tiles<1, Out>(std::make_integer_sequence<int, rows>{});
    static constexpr auto wide = tiles<2, Out>(std::make_integer_sequence<int, rows>{});
    (tile.columns > 16 ? wide : narrow)[static_cast<std::size_t>(lines - 1)](tile);
  }

 private:
  using Function = void (*)(const NarrowTile& tile) noexcept;
  template <int V, class Out, int... R>
  static constexpr std::array<Function, sizeof...(R)> tiles(std::integer_sequence<int, R...>) {
    return {&multiply_rows<R + 1, V, Out>...};
  }

  template <int R, int V, class Out>
  static void multiply_rows(const NarrowTile& tile) noexcept {
    constexpr int bases = (R + 2) / 3;
    const std::int64_t a_row = tile.a_row;
    const std::int64_t a_pair = tile.a_pair;
    const std::byte* a[bases];
#pragma GCC unroll 16
    for (int i = 0; i < bases; ++i) a[i] = tile.a + 3 * i * a_row;
    const Pair* b = tile.b;
    __m512 sum[R][V];
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v)
        sum[i][v] = tile.from ? _mm512_loadu_ps(tile.from + i * panel_columns + 16 * v)
                              : _mm512_setzero_ps();
    for (std::int64_t pair = tile.pairs; pair > 0; --pair) {
      __m512bh right[V];
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v)
        right[v] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b + 16 * v));
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) {
        std::int32_t one;
        std::memcpy(&one, a[i / 3] + (i % 3) * a_row, sizeof one);
        const auto left = reinterpret_cast<__m512bh>(_mm512_set1_epi32(one));
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v) sum[i][v] = _mm512_dpbf16_ps(sum[i][v], right[v], left);
      }
#pragma GCC unroll 16
      for (int i = 0; i < bases; ++i) a[i] += a_pair;
      b += panel_columns;
    }
    if (tile.sums) {
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          _mm512_storeu_ps(tile.sums + i * panel_columns + 16 * v, sum[i][v]);
      return;
    }
    if (tile.bias) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const __m512 bias = _mm512_loadu_ps(tile.bias + 16 * v);
#pragma GCC unroll 16
        for (int i = 0; i < R; ++i) sum[i][v] = _mm512_add_ps(sum[i][v], bias);
      }
    }
    Out* const c = static_cast<Out*>(tile.c);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
      store_row<DotUnit>(c + i * tile.c_row, sum[i][0], sum[i][V - 1], tile.columns);
  }
};

}  // namespace troupe::cpu
