#pragma once

#include "narrow_dot.hpp"

#include <algorithm>
#include <cstdint>

namespace troupe::cpu {

/// Pairs multiplied by tiles of 16 rows and 64 bytes, four of sums at a time: 32 rows by a panel of
/// 32 columns, 16 pairs deep a step.
///
/// `T` is what holds the tiles: AMX's registers (gemm_amx.cpp), or their emulation in the tests.
/// It is made for a chunk and has `zero<i>()`, `load<i>(address, bytes between rows)`,
/// `store<i>(…)`, and `multiply<sums, a, b>()`, which adds to each sum the products of 16 pairs of
/// a row of a and a column of b.
template <class A, class T>
struct TileUnit {
  static constexpr std::int64_t rows = 32;
  static constexpr bool reads_pairs = false;

  static std::int64_t row_begin(std::int64_t tile, std::int64_t, std::int64_t m) noexcept {
    return std::min(tile * rows, m);
  }
  static std::int64_t padded_rows(std::int64_t m) noexcept { return (m + rows - 1) / rows * rows; }

  /// Packs up to 32 rows as [step of 16 pairs][row][pair].
  template <class In, int Parts>
  static ExponentRange pack_rows(
      const Lines<In>& from, std::int64_t lines, std::int64_t k, Pair* to) noexcept {
    const std::int64_t part_size =
        rows * ((k + 2 * pack_pairs - 1) / (2 * pack_pairs)) * pack_pairs;
    return pack_steps<TileUnit, In, Parts, 2, true>(
        from, lines, k, [&](std::int64_t first, int part, int group, int line, __m512i pairs) {
          _mm512_storeu_si512(
              to + part * part_size + first * rows + (16 * group + line) * pack_pairs, pairs);
        });
  }
  /// Says where a tile's packed rows are, from a pair on.
  static void place_rows(
      const Pair* packed,
      std::int64_t,
      std::int64_t packed_pairs,
      std::int64_t pair,
      NarrowTile& tile) noexcept {
    tile.a = reinterpret_cast<const std::byte*>(packed + pair * rows);
    tile.a_part = rows * packed_pairs * static_cast<std::int64_t>(sizeof(Pair));
  }

  template <int Parts, class Out>
  void multiply(const NarrowTile& tile, std::int64_t lines) noexcept {
    if (lines > 16)
      tile.columns > 16 ? multiply_tiles<Parts, Out, 2, 2>(tile, lines)
                        : multiply_tiles<Parts, Out, 2, 1>(tile, lines);
    else
      tile.columns > 16 ? multiply_tiles<Parts, Out, 1, 2>(tile, lines)
                        : multiply_tiles<Parts, Out, 1, 1>(tile, lines);
  }

 private:
  static constexpr std::int64_t line_bytes = 64;
  static constexpr std::int64_t sums_bytes = panel_columns * sizeof(float);

  template <int Parts, class Out, int R, int C>
  void multiply_tiles(const NarrowTile& tile, std::int64_t lines) noexcept {
    alignas(64) float own[rows * panel_columns];
    if (tile.from) {
      const float* const from = tile.from;
      tiles_.template load<0>(from, sums_bytes);
      if constexpr (C == 2) tiles_.template load<1>(from + 16, sums_bytes);
      if constexpr (R == 2) tiles_.template load<2>(from + 16 * panel_columns, sums_bytes);
      if constexpr (R + C == 4) tiles_.template load<3>(from + 16 * panel_columns + 16, sums_bytes);
    } else {
      tiles_.template zero<0>();
      if constexpr (C == 2) tiles_.template zero<1>();
      if constexpr (R == 2) tiles_.template zero<2>();
      if constexpr (R + C == 4) tiles_.template zero<3>();
    }
    const std::int64_t steps = (tile.pairs + pack_pairs - 1) / pack_pairs;
    for (std::int64_t step = 0; step < steps; ++step) {
      const std::byte* const a = tile.a + step * rows * line_bytes;
      const Pair* const b = tile.b + step * pack_pairs * panel_columns;
      // The smallest first: parts whose numbers add up to the most.
#pragma GCC unroll 3
      for (int order = Parts - 1; order >= 0; --order)
#pragma GCC unroll 3
        for (int part = 0; part <= order; ++part)
          multiply_step<R, C>(a + part * tile.a_part, b + (order - part) * tile.b_part);
    }
    float* const sums = tile.sums ? tile.sums : own;
    tiles_.template store<0>(sums, sums_bytes);
    if constexpr (C == 2) tiles_.template store<1>(sums + 16, sums_bytes);
    if constexpr (R == 2) tiles_.template store<2>(sums + 16 * panel_columns, sums_bytes);
    if constexpr (R + C == 4) tiles_.template store<3>(sums + 16 * panel_columns + 16, sums_bytes);
    if (tile.sums) return;

    const __m512 low_bias = tile.bias ? _mm512_loadu_ps(tile.bias) : _mm512_setzero_ps();
    const __m512 high_bias = tile.bias ? _mm512_loadu_ps(tile.bias + 16) : _mm512_setzero_ps();
    Out* c = static_cast<Out*>(tile.c);
    for (std::int64_t i = 0; i < lines; ++i, c += tile.c_row) {
      __m512 low = _mm512_load_ps(own + i * panel_columns);
      __m512 high = C == 2 ? _mm512_load_ps(own + i * panel_columns + 16) : _mm512_setzero_ps();
      if (tile.bias) {
        low = _mm512_add_ps(low, low_bias);
        high = _mm512_add_ps(high, high_bias);
      }
      store_row<TileUnit>(c, low, high, tile.columns);
    }
  }

  template <int R, int C>
  void multiply_step(const std::byte* a, const Pair* b) noexcept {
    tiles_.template load<4>(a, line_bytes);
    tiles_.template load<6>(b, sums_bytes);
    tiles_.template multiply<0, 4, 6>();
    if constexpr (C == 2) {
      tiles_.template load<7>(b + 16, sums_bytes);
      tiles_.template multiply<1, 4, 7>();
    }
    if constexpr (R == 2) {
      tiles_.template load<5>(a + 16 * line_bytes, line_bytes);
      tiles_.template multiply<2, 5, 6>();
      if constexpr (C == 2) tiles_.template multiply<3, 5, 7>();
    }
  }

  T tiles_;
};

/// Plans a product by tiles; false where it is left to the kernels that `Set` has besides, for a
/// dtype that tiles do not know, or so few rows, columns or terms that tiles would be filled with
/// zeros mostly, or packing would take as long as multiplying.
template <class Set, class T>
bool plan_tiles(const KernelCall& call, Plan& plan, const Product& product, bool vector) {
  using Unit = TileUnit<Set, T>;
  const std::int64_t least = std::min({product.m, product.n, product.k});
  if (call.in[0].dtype == DType::bfloat16) {
    if (vector || least < 8) return false;
    plan_narrow<Unit, BFloat16, 1, BFloat16>(product, plan);
    return true;
  }
  if (call.in[0].dtype != DType::float32 || vector || least < 32) return false;
  switch (call.precision) {
    case Precision::highest:
      plan_narrow<Unit, float, 3, float>(product, plan);
      return true;
    case Precision::high:
      plan_narrow<Unit, float, 2, float>(product, plan);
      return true;
    case Precision::medium:
      plan_narrow<Unit, float, 1, float>(product, plan);
      return true;
  }
  return false;
}

}  // namespace troupe::cpu
