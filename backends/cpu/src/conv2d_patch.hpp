#pragma once

#include "gemm_pack.hpp"
#include "kernel.hpp"
#include "transpose_words.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace troupe::cpu {

/// One axis of a correlation y[i] = Σ_t w[t]·v[i·step + t·dilation − padding], v being x with
/// `insert` − 1 zeros between its elements (insert > 1: the gradient of a strided convolution), and
/// zeros outside.
struct Axis {
  std::int64_t source = 0;  ///< size of x
  std::int64_t dest = 0;    ///< size of y
  std::int64_t taps = 0;    ///< size of w
  std::int64_t step = 1;
  std::int64_t insert = 1;
  std::int64_t dilation = 1;
  std::int64_t padding = 0;  ///< may be negative
};

/// How far `count` places of y, and the taps of each, reach over v.
template <class A>
std::int64_t reach(const Axis& axis, std::int64_t count) noexcept {
  return (count - 1) * axis.step + (axis.taps - 1) * axis.dilation + 1;
}

/// One channel of a source image.
template <class T>
struct Plane {
  const T* data = nullptr;
  std::int64_t row = 0;     ///< elements between rows
  std::int64_t column = 1;  ///< elements between columns
};

/// Copies a short row: whole vectors, the last one overlapping.
template <class T, class A>
inline void copy_row(const T* from, std::int64_t count, T* to) noexcept {
  constexpr std::int64_t lanes = transpose_size<T, A>;
  using Register [[gnu::vector_size(lanes * sizeof(T))]] = T;
  const auto move = [&](std::int64_t i) {
    Register row;
    std::memcpy(&row, from + i, sizeof row);
    std::memcpy(to + i, &row, sizeof row);
  };
  if (count < lanes) {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
    return;
  }
  for (std::int64_t i = 0; i + lanes < count; i += lanes) move(i);
  move(count - lanes);
}

/// Copies what whole registers have just written. Pieces are such that each lies in one of them:
/// reading across two would wait until both have left for the cache.
template <class T, class A, int Lanes = Tile<T, A>::lanes>
void write_row(const T* from, std::int64_t count, T* to) noexcept {
#ifdef __AVX512F__
  if constexpr (std::is_same_v<T, float> && Lanes == 16) {
    for (; count >= 16; count -= 16, from += 16, to += 16)
      _mm512_storeu_ps(to, _mm512_loadu_ps(from));
    const auto rest = static_cast<__mmask16>((1u << count) - 1);
    _mm512_mask_storeu_ps(to, rest, _mm512_loadu_ps(from));
    return;
  }
#endif
  using Register [[gnu::vector_size(Lanes * sizeof(T))]] = T;
  for (; count >= Lanes; count -= Lanes, from += Lanes, to += Lanes) {
    Register row;
    std::memcpy(&row, from, sizeof row);
    std::memcpy(to, &row, sizeof row);
  }
  if constexpr (Lanes > 1) write_row<T, A, Lanes / 2>(from, count, to);
}

/// Copies the window of v that starts at (top, left) into a dense block, zeros where x has nothing.
template <class T, class A>
void copy_window(
    const Plane<T>& from,
    const Axis& y_axis,
    const Axis& x_axis,
    std::int64_t top,
    std::int64_t left,
    std::int64_t rows,
    std::int64_t columns,
    T* to) noexcept {
  for (std::int64_t r = 0; r < rows; ++r, to += columns) {
    const std::int64_t y = top + r;
    if (y < 0 || y % y_axis.insert != 0 || y / y_axis.insert >= y_axis.source) {
      std::fill_n(to, columns, T(0));
      continue;
    }
    const T* const row = from.data + y / y_axis.insert * from.row;
    if (x_axis.insert == 1 && from.column == 1) {
      const std::int64_t begin = std::clamp<std::int64_t>(-left, 0, columns);
      const std::int64_t end = std::clamp<std::int64_t>(x_axis.source - left, begin, columns);
      for (std::int64_t c = 0; c < begin; ++c) to[c] = T(0);
      copy_row<T, A>(row + left + begin, end - begin, to + begin);
      for (std::int64_t c = end; c < columns; ++c) to[c] = T(0);
      continue;
    }
    for (std::int64_t c = 0; c < columns; ++c) {
      const std::int64_t x = left + c;
      const bool inside = x >= 0 && x % x_axis.insert == 0 && x / x_axis.insert < x_axis.source;
      to[c] = inside ? row[x / x_axis.insert * from.column] : T(0);
    }
  }
}

#ifdef __AVX512F__
/// Turns up to 16 neighbours of up to 16 channels, by whole registers.
template <class A>
void turn_square(
    const float* from,
    std::int64_t channel_step,
    std::int64_t channels,
    std::int64_t count,
    float* to) noexcept {
  constexpr std::int64_t width = Tile<float, A>::columns;
  // Nothing may be read behind the last place.
  const auto exist = static_cast<__mmask16>(count < 16 ? (1u << count) - 1 : 0xffffu);
  __m512i row[16];
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i) {
    row[i] = _mm512_maskz_loadu_epi32(exist, from);
    from += i + 1 < channels ? channel_step : 0;
  }
  transpose_words<A>(row);
#pragma GCC unroll 16
  for (int i = 0; i < 16; ++i)
    if (i < count) _mm512_storeu_si512(to + i * width, row[i]);
}
#endif

/// Turns `count` neighbours of `channels` channels: to[place][channel], a panel's width of
/// channels. Of channels that do not exist something is written; nobody reads it.
template <class T, class A>
void turn_row(
    const T* from,
    std::int64_t channel_step,
    std::int64_t column_step,
    std::int64_t channels,
    std::int64_t count,
    T* to) noexcept {
  constexpr std::int64_t width = Tile<T, A>::columns;
#ifdef __AVX512F__
  if constexpr (sizeof(T) == 4 && sizeof(Vec<T, A>) == 64) {
    if (column_step == 1) {
      for (std::int64_t i = 0; i < channels; i += 16)
        for (std::int64_t c = 0; c < count; c += 16)
          turn_square<A>(
              from + i * channel_step + c,
              channel_step,
              channels - i,
              count - c,
              to + c * width + i);
      return;
    }
  }
#endif
  constexpr std::int64_t size = transpose_size<T, A>;
  if (column_step != 1 || count < size) {
    for (std::int64_t c = 0; c < count; ++c)
      for (std::int64_t i = 0; i < width; ++i)
        to[c * width + i] = i < channels ? from[i * channel_step + c * column_step] : T(0);
    return;
  }
  for (std::int64_t i = 0; i < channels; i += size) {
    const int rows = static_cast<int>(std::min(size, channels - i));
    const auto turn = [&](std::int64_t c) {
      transpose_block<T, A>(
          from + i * channel_step + c, channel_step, rows, to + c * width + i, width);
    };
    for (std::int64_t c = 0; c + size < count; c += size) turn(c);
    turn(count - size);
  }
}

/// The places of y that one panel of columns stands for, as offsets in a window of v.
///
/// Where neighbours in a vector are neighbours in the window but for one break (the end of a row of
/// y), the vector is blended from two loads; else it is gathered element by element.
template <class T, class A>
struct PanelPlaces {
  static constexpr int lanes = transpose_size<T, A>;
  static constexpr int width = Tile<T, A>::columns;
  static constexpr int vectors = width / lanes;
  using Register [[gnu::vector_size(lanes * sizeof(T))]] = T;
  using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  using Mask [[gnu::vector_size(lanes * sizeof(T))]] = Index;

  /// Panel of the places from `first` on, `count` of which exist, in rows of `dest_width` places.
  PanelPlaces(
      std::int64_t first,
      std::int64_t count,
      std::int64_t dest_width,
      std::int64_t step_y,
      std::int64_t step_x,
      std::int64_t window_width) noexcept {
    std::int64_t y = first / dest_width;
    std::int64_t x = first % dest_width;
    for (int j = 0; j < width; ++j) {
      // Lanes without a place go on behind the last one; nobody reads what becomes of them.
      offset[j] = j < count ? y * step_y * window_width + x * step_x : offset[j - 1] + 1;
      if (++x == dest_width) {
        x = 0;
        ++y;
      }
    }
    smooth = true;
    for (int v = 0; v < vectors; ++v) {
      const std::int64_t* const at = offset + v * lanes;
      int stop = 1;
      while (stop < lanes && at[stop] == at[0] + stop) ++stop;
      second[v] = stop < lanes ? at[stop] - stop : at[0];
      for (int j = stop; j < lanes; ++j) smooth = smooth && at[j] == second[v] + j;
      for (int j = 0; j < lanes; ++j) before[v][j] = j < stop ? -1 : 0;
    }
  }

  /// Writes the panel's row for a tap at `window`, the window's place under the first place's tap.
  /// Up to a panel's width behind the window is read, and must be numbers.
  void pack(const T* window, T* to) const noexcept {
    if (smooth) {
#pragma GCC unroll 8
      for (int v = 0; v < vectors; ++v) {
        Register a;
        Register b;
        std::memcpy(&a, window + offset[v * lanes], sizeof a);
        std::memcpy(&b, window + second[v], sizeof b);
        const Register both = before[v] ? a : b;
        std::memcpy(to + v * lanes, &both, sizeof both);
      }
    } else {
      for (int j = 0; j < width; ++j) to[j] = window[offset[j]];
    }
  }

  std::int64_t offset[width];
  std::int64_t second[vectors];  ///< where the lanes after the break would start without it
  Mask before[vectors];          ///< lanes before the break
  bool smooth;
};

/// The places of a panel where y is as wide as x and neither has a step: then neighbours in y lie
/// under neighbours in x for every tap, across the ends of rows too, and no padding need be copied.
/// What a tap would take from beside the image is masked off.
template <class T, class A>
struct FlatPlaces {
  static constexpr int lanes = Tile<T, A>::lanes;
  static constexpr int vectors = Tile<T, A>::vectors;
  using Index = typename PanelPlaces<T, A>::Index;
  using Mask [[gnu::vector_size(lanes * sizeof(T))]] = Index;
  static constexpr std::int64_t taps_max = 8;

  /// Whether a correlation's axes allow it.
  static bool fits(const Axis& y, const Axis& x) noexcept {
    return x.source == x.dest && x.step == 1 && y.step == 1 && x.insert == 1 && y.insert == 1 &&
           x.taps <= taps_max && x.padding >= 0 && x.padding <= Tile<T, A>::columns;
  }

  FlatPlaces(std::int64_t first, const Axis& x) noexcept {
    const Index width = static_cast<Index>(x.dest);
    Mask columns;
    for (int j = 0; j < lanes; ++j) columns[j] = static_cast<Index>(j);
    columns += static_cast<Index>(first % x.dest);
    for (int v = 0; v < vectors; ++v) {
      // Rows may be shorter than a vector.
      for (Index at = 0; at < lanes; at += width) columns -= (columns >= width) & width;
      for (std::int64_t tap = 0; tap < x.taps; ++tap) {
        const Mask at = columns + static_cast<Index>(tap * x.dilation - x.padding);
        inside[tap][v] = (at >= 0) & (at < static_cast<Index>(x.source));
      }
      columns += lanes;
    }
  }

  /// Writes the panel's rows for the taps of one row of the kernel; `window` lies under the first
  /// place's first tap. Up to two panels' width before and behind the window is read.
  template <int Taps>
  void pack(const T* window, std::int64_t dilation, T* to) const noexcept {
#pragma GCC unroll 8
    for (int tap = 0; tap < Taps; ++tap) pack_tap(window, tap, dilation, to);
  }
  void pack(const T* window, std::int64_t taps, std::int64_t dilation, T* to) const noexcept {
    for (std::int64_t tap = 0; tap < taps; ++tap) pack_tap(window, tap, dilation, to);
  }
  /// The same for all rows of the kernel; `channel` lies under the first place's first tap.
  void pack_channel(const T* channel, const Axis& y, const Axis& x, T* to) const noexcept {
    for (std::int64_t tap = 0; tap < y.taps; ++tap, to += x.taps * lanes * vectors) {
      const T* const window = channel + tap * y.dilation * x.source;
      if (x.taps == 3)
        pack<3>(window, x.dilation, to);
      else
        pack(window, x.taps, x.dilation, to);
    }
  }

  /// A vector of the panel's row for a tap along the row, from `window` under its first place.
  [[nodiscard]] Vec<T, A> load(const T* window, int tap, int vector) const noexcept {
    Mask bits;
    std::memcpy(&bits, window, sizeof bits);
    bits &= inside[tap][vector];
    Vec<T, A> row;
    std::memcpy(&row, &bits, sizeof bits);
    return row;
  }

  Mask inside[taps_max][vectors];

 private:
  void pack_tap(const T* window, std::int64_t tap, std::int64_t dilation, T* to) const noexcept {
#pragma GCC unroll 8
    for (int v = 0; v < vectors; ++v) {
      Mask bits;
      std::memcpy(&bits, window + tap * dilation + v * lanes, sizeof bits);
      bits &= inside[tap][v];
      std::memcpy(to + (tap * vectors + v) * lanes, &bits, sizeof bits);
    }
  }
};

}  // namespace troupe::cpu
