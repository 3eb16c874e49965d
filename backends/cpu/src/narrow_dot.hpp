#pragma once

#include "gemm_narrow.hpp"
#include "narrow_rows.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <utility>

namespace troupe::cpu {

/// Pairs multiplied by vdpbf16ps, 16 sums at a time: like a chain of FMAs, but with two products a
/// step, which the processor adds one after the other, taking denormals for 0.
///
/// Its tile is that of float32: two vectors wide, 14 rows. A's pairs are broadcast one by one, so
/// rows with an even number of elements may lie anywhere.
template <class A>
struct DotUnit {
  static constexpr std::int64_t rows = 14;

  static std::int64_t row_begin(std::int64_t tile, std::int64_t tiles, std::int64_t m) noexcept {
    return tile * m / tiles;
  }

  /// Packs some rows as [pair][row].
  template <class In>
  static void pack_rows(
      const Lines<In>& from, std::int64_t lines, std::int64_t k, Pair* to) noexcept {
    const auto mask = static_cast<__mmask16>(first_of_32<DotUnit>(lines));
    pack_steps<DotUnit, In, 1>(
        from, lines, k, [&](std::int64_t first, int, int pair, __m512i pairs) {
          _mm512_mask_storeu_epi32(to + (first + pair) * lines, mask, pairs);
        });
  }
  /// Says where a tile's packed rows are, from a pair on.
  static void place_rows(
      const Pair* packed, std::int64_t lines, std::int64_t pair, NarrowTile& tile) noexcept {
    tile.a = reinterpret_cast<const std::byte*>(packed + pair * lines);
    tile.a_row = sizeof(Pair);
    tile.a_pair = lines * static_cast<std::int64_t>(sizeof(Pair));
  }

  template <class Out>
  void multiply(const NarrowTile& tile, std::int64_t lines) const noexcept {
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
