#pragma once

#include "simd.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <type_traits>

namespace troupe::cpu {

/// The block of the result that one call keeps in registers, and how deep it goes.
///
/// Two vectors wide, and as many rows as leave registers for one row of B and one element of A: 12
/// of the 16 registers of SSE2 and AVX2 hold sums, 28 of the 32 of AVX-512. Twelve sums are more
/// than the latency (4) times the ports (2) of any machine in sight.
template <class T, class A>
struct Tile {
  static constexpr int lanes = static_cast<int>(Vec<T, A>::size);
  static constexpr int vectors = 2;
  static constexpr int columns = lanes * vectors;
  static constexpr int rows = sizeof(Vec<T, A>) == 64 ? 14 : 6;
  /// Depth of a block. With AVX-512 a panel of B (64 KiB) comes from the second-level cache, which
  /// is fast enough for it: measured, carrying sums from block to block twice as often costs more.
  static constexpr std::int64_t depth = sizeof(Vec<T, A>) == 64 ? 512 : 256;
  /// Whether the last vector of a row may be cut off by the matrix's edge; else such a panel is
  /// computed at full width beside the result.
  static constexpr bool cuts_rows = sizeof(Vec<T, A>) == 64;
};

/// The last vector of a tile's row, of whose elements only the first `count` exist: the others are
/// read as 0 and not written. Without masks all must exist.
template <class T, class A>
class LastVector {
 public:
  using Register = Vec<T, A>;
  explicit LastVector([[maybe_unused]] std::int64_t count) noexcept {
    if constexpr (Tile<T, A>::cuts_rows)
      mask_ = static_cast<Mask>((1u << std::min<std::int64_t>(count, Tile<T, A>::lanes)) - 1);
  }
  [[nodiscard]] Register load(const T* from) const noexcept {
#ifdef __AVX512F__
    if constexpr (Tile<T, A>::cuts_rows && std::is_same_v<T, float>)
      return _mm512_maskz_loadu_ps(mask_, from);
    else if constexpr (Tile<T, A>::cuts_rows)
      return _mm512_maskz_loadu_pd(mask_, from);
    else
#endif
      return Register::load_unaligned(from);
  }
  void store(T* to, Register value) const noexcept {
#ifdef __AVX512F__
    if constexpr (Tile<T, A>::cuts_rows && std::is_same_v<T, float>)
      _mm512_mask_storeu_ps(to, mask_, value);
    else if constexpr (Tile<T, A>::cuts_rows)
      _mm512_mask_storeu_pd(to, mask_, value);
    else
#endif
      value.store_unaligned(to);
  }

 private:
  using Mask = std::conditional_t<sizeof(T) == 4, std::uint16_t, std::uint8_t>;
  [[maybe_unused]] Mask mask_ = 0;
};

/// C (+)= A·B for one tile. A is read element by element, so it may lie in any order; B by whole
/// vectors from rows `b_row` apart.
///
/// Every element is a chain of FMAs over k in rising order that starts from 0, or from what another
/// call left. A chain cut anywhere and continued gives the same bits, so neither block sizes nor
/// the place of an element in a tile can be seen in results.
template <class T>
struct TileCall {
  const T* a = nullptr;
  std::int64_t a_row = 0;  ///< elements between rows of A
  std::int64_t a_k = 1;    ///< elements between columns of A
  const T* b = nullptr;
  std::int64_t b_row = 0;
  std::int64_t k = 0;
  /// The whole of k is done `repeats` times, A and B moving on by `a_skip` and `b_skip` more
  /// elements after each: a convolution's rows of pixels, between which lies padding.
  std::int64_t repeats = 1;
  std::int64_t a_skip = 0;
  std::int64_t b_skip = 0;
  T* c = nullptr;
  std::int64_t c_row = 0;
  std::int64_t columns = 1 << 20;  ///< that there are, where the tile can be cut off (`cuts_rows`)
  const T* from = nullptr;         ///< where the chains start: C itself or a copy of it; null: at 0
  std::int64_t from_row = 0;
  /// Added after the sum is complete, as the separate addition would; null: none.
  const T* column_bias = nullptr;  ///< one for each column, the tile's full width readable
  const T* row_bias = nullptr;     ///< one for each row
};

template <class T>
using TileFunction = void (*)(const TileCall<T>& call) noexcept;

/// A tile of `R` rows and `V` vectors.
template <class T, class A, int R, int V>
void multiply_tile(const TileCall<T>& call) noexcept {
  using Register = Vec<T, A>;
  constexpr int lanes = Tile<T, A>::lanes;
  // One pointer for each three rows: x86 addresses base, base + row and base + 2 row without
  // adding.
  constexpr int bases = (R + 2) / 3;

  const std::int64_t a_row = call.a_row;
  const std::int64_t a_k = call.a_k;
  const std::int64_t b_row = call.b_row;
  const T* a[bases];
#pragma GCC unroll 16
  for (int i = 0; i < bases; ++i) a[i] = call.a + 3 * i * a_row;
  const T* b = call.b;
  const LastVector<T, A> last(call.columns - (V - 1) * lanes);

  Register sum[R][V];
  T* const c = call.c;
  const std::int64_t c_row = call.c_row;
  if (const T* const from = call.from) {
    const std::int64_t from_row = call.from_row;
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        const T* const at = from + i * from_row + v * lanes;
        sum[i][v] = v + 1 < V ? Register::load_unaligned(at) : last.load(at);
      }
  } else {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] = Register(T(0));
  }

  const auto step = [&](auto cut) __attribute__((always_inline)) {
    Register right[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v)
      right[v] =
          cut && v + 1 == V ? last.load(b + v * lanes) : Register::load_unaligned(b + v * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Register left(a[i / 3][(i % 3) * a_row]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] = fused_multiply_add<T, A>(left, right[v], sum[i][v]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < bases; ++i) a[i] += a_k;
    b += b_row;
  };
  // A whole vector at the end of a cut row reads on into the next rows, and nobody looks; but
  // behind the last rows there is nothing to read. Masks cost a little, so they are used only
  // there.
  std::int64_t cut_steps = 0;
  if constexpr (Tile<T, A>::cuts_rows)
    if (call.columns < V * lanes)
      cut_steps = b_row > 0 ? std::min<std::int64_t>(call.k, V * lanes / b_row + 1) : call.k;

  for (std::int64_t repeat = call.repeats; repeat > 0; --repeat) {
    std::int64_t k = call.k;
    for (; k > cut_steps; --k) step(std::false_type{});
    if constexpr (Tile<T, A>::cuts_rows)
      for (; k > 0; --k) step(std::true_type{});
#pragma GCC unroll 16
    for (int i = 0; i < bases; ++i) a[i] += call.a_skip;
    b += call.b_skip;
  }

  if (call.column_bias) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const Register bias = Register::load_unaligned(call.column_bias + v * lanes);
#pragma GCC unroll 16
      for (int i = 0; i < R; ++i) sum[i][v] = sum[i][v] + bias;
    }
  }
  if (call.row_bias) {
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const Register bias(call.row_bias[i]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] = sum[i][v] + bias;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      T* const at = c + i * c_row + v * lanes;
      if (v + 1 < V)
        sum[i][v].store_unaligned(at);
      else
        last.store(at, sum[i][v]);
    }
}

/// The tile functions by [vectors − 1][rows − 1]. Compiled in gemm.cpp only.
template <class T, class A>
using TileTable = std::array<std::array<TileFunction<T>, Tile<T, A>::rows>, Tile<T, A>::vectors>;
template <class T, class A>
const TileTable<T, A>& tile_table() noexcept;

/// Rows cut into tiles of nearly equal height: 32 rows in tiles of at most 6 are 6 6 5 5 5 5, none
/// of them so low that its few sums would have to wait for each other.
template <class A>
struct RowTiles {
  std::int64_t rows;
  std::int64_t count;

  static RowTiles cut(std::int64_t rows, std::int64_t rows_max) noexcept {
    return {rows, (rows + rows_max - 1) / rows_max};
  }
  [[nodiscard]] std::int64_t begin(std::int64_t tile) const noexcept { return tile * rows / count; }
};

}  // namespace troupe::cpu
