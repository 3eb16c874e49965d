#pragma once

#include "conv2d_patch.hpp"
#include "gemm_tile.hpp"

#include <algorithm>
#include <cstdint>

/// Correlations whose result has few channels, such as an image's own. A panel of places would be
/// read by so few rows of weights that making it takes most of the time; here the weights go over
/// the window as it lies. Bits are those of tiles: each element is a chain of FMAs in rising order.
namespace troupe::cpu {

/// Channels of a result, in a group, that are few.
inline constexpr std::int64_t thin_rows_max = 3;

/// Some rows of the result's images, and what they are computed from: flat windows of a block of
/// channels (FlatPlaces).
template <class T>
struct ThinCall {
  const T* window = nullptr;  ///< of the first channel, under the first place's first tap
  std::int64_t window_size = 0;
  const T* weights = nullptr;  ///< [channel][tap][row]
  std::int64_t channels = 0;
  const T* bias = nullptr;  ///< of each row, added to complete sums; null: none
  bool first = true;        ///< the first block of channels: sums start at 0, else from `to`
  T* to = nullptr;
  std::int64_t to_row = 0;  ///< elements between channels of the result
  std::int64_t places = 0;  ///< to be written of each row, at most two vectors
};

/// `R` channels of `P` rows, `V` vectors of each; `Taps` along a row, or 0 for as many as there
/// are.
template <class T, class A, int R, int P, int V, int Taps>
void multiply_thin(
    const ThinCall<T>& call, const Axis& y, const Axis& x, const FlatPlaces<T, A>& at) noexcept {
  using Register = Vec<T, A>;
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  const std::int64_t across = Taps > 0 ? Taps : x.taps;
  alignas(64) T edge[lanes];
  const std::int64_t last = call.places - (V - 1) * lanes;  // of the last vector

  Register sum[R][P][V];
  const auto for_sums = [&](const auto& visit) __attribute__((always_inline)) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
        for (int v = 0; v < V; ++v)
          visit(sum[r][p][v], r, call.to + r * call.to_row + p * x.dest + v * lanes, v + 1 == V);
  };
  for_sums([&](Register & each, int, const T* from, bool is_last) __attribute__((always_inline)) {
    each = Register(T(0));
    if (call.first) return;
    if (is_last) {
      std::copy_n(from, last, edge);
      std::fill(edge + last, edge + lanes, T(0));
      from = edge;
    }
    each = Register::load_unaligned(from);
  });

  const T* weights = call.weights;
  const T* channel = call.window;
  for (std::int64_t c = 0; c < call.channels; ++c, channel += call.window_size) {
    const T* row = channel;
    for (std::int64_t down = 0; down < y.taps; ++down, row += y.dilation * x.dest) {
      const T* from = row;
      const auto tap = [&](int i) __attribute__((always_inline)) {
        Register left[R];
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) left[r] = Register(weights[r]);
        weights += R;
#pragma GCC unroll 4
        for (int p = 0; p < P; ++p)
#pragma GCC unroll 2
          for (int v = 0; v < V; ++v) {
            const Register right = at.load(from + p * x.dest + v * lanes, i, v);
#pragma GCC unroll 4
            for (int r = 0; r < R; ++r)
              sum[r][p][v] = fused_multiply_add<T, A>(left[r], right, sum[r][p][v]);
          }
        from += x.dilation;
      };
      if constexpr (Taps > 0) {
#pragma GCC unroll 8
        for (int i = 0; i < Taps; ++i) tap(i);
      } else {
        for (int i = 0; i < across; ++i) tap(i);
      }
    }
  }

  for_sums([&](const Register& each, int r, T* to, bool is_last) __attribute__((always_inline)) {
    const Register value = call.bias ? each + Register(call.bias[r]) : each;
    if (!is_last || last == lanes) {
      value.store_unaligned(to);
    } else {
      value.store_aligned(edge);
      std::copy_n(edge, last, to);
    }
  });
}

/// All places of `image_rows` rows of `R` channels.
template <class T, class A, int R>
void multiply_thin_rows(
    ThinCall<T> call, const Axis& y, const Axis& x, std::int64_t image_rows) noexcept {
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  constexpr std::int64_t width = Tile<T, A>::columns;
  // As many sums as hide the latency of each, and leave registers for the rest.
  constexpr int together = sizeof(Vec<T, A>) == 64 ? (R < 3 ? 4 : 2) : R == 1 ? 4 : R == 2 ? 2 : 1;
  T* const to = call.to;
  const T* const window = call.window;
  for (std::int64_t column = 0; column < x.dest; column += width) {
    const FlatPlaces<T, A> at(column, x);
    call.places = std::min(width, x.dest - column);
    std::int64_t row = 0;
    const auto go_to = [&] {
      call.window = window + row * x.dest + column;
      call.to = to + row * x.dest + column;
    };
    // Three taps are what networks have; a function of its own for each other would be large.
    if (x.taps == 3)
      for (; row + together <= image_rows; row += together) {
        go_to();
        call.places > lanes ? multiply_thin<T, A, R, together, 2, 3>(call, y, x, at)
                            : multiply_thin<T, A, R, together, 1, 3>(call, y, x, at);
      }
    for (; row < image_rows; ++row) {
      go_to();
      call.places > lanes ? multiply_thin<T, A, R, 1, 2, 0>(call, y, x, at)
                          : multiply_thin<T, A, R, 1, 1, 0>(call, y, x, at);
    }
  }
}

/// The same for as many channels as there are, at most `thin_rows_max`.
template <class T, class A>
[[gnu::noinline]] void multiply_thin_strip(
    const ThinCall<T>& call,
    const Axis& y,
    const Axis& x,
    std::int64_t rows,
    std::int64_t image_rows) noexcept {
  static_assert(thin_rows_max == 3);
  switch (rows) {
    case 1:
      return multiply_thin_rows<T, A, 1>(call, y, x, image_rows);
    case 2:
      return multiply_thin_rows<T, A, 2>(call, y, x, image_rows);
    default:
      return multiply_thin_rows<T, A, 3>(call, y, x, image_rows);
  }
}

}  // namespace troupe::cpu
