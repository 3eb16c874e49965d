#pragma once

#include "conv2d_patch.hpp"
#include "kernel.hpp"
#include "winograd.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::cpu {

/// Results cut into tiles of 4×4, numbered through all images.
template <class A>
struct TileGrid {
  std::int64_t down = 0;    ///< rows of tiles in an image
  std::int64_t across = 0;  ///< tiles in a row
  std::int64_t tiles = 0;   ///< in all images

  static TileGrid of(std::int64_t images, std::int64_t height, std::int64_t width) noexcept {
    const std::int64_t down = (height + 3) / 4;
    const std::int64_t across = (width + 3) / 4;
    return {down, across, images * down * across};
  }
};

/// Neighbouring tiles in one row of tiles of one image, and what they are made from.
struct TileRun {
  std::int64_t image;
  std::int64_t down;    ///< which row of tiles
  std::int64_t across;  ///< the first tile's place in it
  std::int64_t count;
  std::int64_t at;         ///< the first tile's place in the panel
  std::int64_t left;       ///< column of the source that is the first tile's first, perhaps outside
  std::int64_t source;     ///< elements from the tensor's first to the first tile's first
  std::int64_t first_row;  ///< the first of a tile's rows that lies in the image
  std::int64_t end_row;
  std::int64_t vectors;  ///< that hold the run's columns
  int first_mask;
};

/// A panel of at most `Width` tiles as runs. A tile is made from `Size` rows and columns of the
/// source.
template <class A, std::int64_t Width, int Size>
struct TilePanel {
  using V = Vec<float, A>;
  static constexpr std::int64_t lanes = static_cast<std::int64_t>(V::size);
  static constexpr std::int64_t overlap = Size - 4;  ///< columns that neighbours share

  /// The tiles from `first` to `end`; `run_max` bounds a run.
  TilePanel(
      const TileGrid<A>& grid,
      std::int64_t first,
      std::int64_t end,
      std::int64_t run_max,
      const View& source,
      std::int64_t padding_y,
      std::int64_t padding_x) noexcept
      : tiles(end - first) {
    int mask = 0;
    for (std::int64_t tile = first; tile < end; tile += runs[count++].count) {
      TileRun& run = runs[count];
      run.image = tile / (grid.down * grid.across);
      run.down = tile / grid.across % grid.down;
      run.across = tile % grid.across;
      run.count = std::min({grid.across - run.across, end - tile, run_max});
      run.at = tile - first;
      const std::int64_t top = run.down * 4 - padding_y;
      run.left = run.across * 4 - padding_x;
      run.source =
          run.image * source.strides[0] + top * source.strides[2] + run.left * source.strides[3];
      run.first_row = std::clamp<std::int64_t>(-top, 0, Size);
      run.end_row = std::clamp<std::int64_t>(source.shape[2] - top, run.first_row, Size);
      // The columns that the last tile shares with the next are looked at where there is something
      // in them only.
      const std::int64_t columns = std::clamp<std::int64_t>(
          source.shape[3] - run.left, run.count * 4, run.count * 4 + overlap);
      run.vectors = (columns + lanes - 1) / lanes;
      run.first_mask = mask;
      for (std::int64_t v = 0; v < run.vectors; ++v) {
        alignas(64) std::int32_t inside[lanes];
        for (std::int64_t i = 0; i < lanes; ++i) {
          const std::int64_t x = run.left + v * lanes + i;
          inside[i] = x >= 0 && x < source.shape[3] ? -1 : 0;
        }
        std::memcpy(&masks[mask++], inside, sizeof inside);
      }
    }
  }

  std::int64_t tiles;
  int count = 0;
  TileRun runs[Width];
  V masks[Width + Width * (4 + overlap) / lanes + 1];  ///< for each vector of a run's columns
};

/// Elements of a line that holds four columns for each of `Width` tiles, and what whole vectors
/// write beside them: whole lines of a cache.
template <class A, std::int64_t Width>
inline constexpr std::int64_t tile_line =
    (4 * Width + 2 * static_cast<std::int64_t>(Vec<float, A>::size) + 4 + 15) / 16 * 16;

/// The rows of a tensor that runs are made from.
template <class A, std::int64_t Width, int Size>
class TileRows {
 public:
  explicit TileRows(const View& tensor) noexcept
      : begin_(tensor.as<const float>()), row_(tensor.strides[2]), column_(tensor.strides[3]) {
    for (std::size_t axis = 0; axis < 4; ++axis)
      span_ += (tensor.shape[axis] - 1) * tensor.strides[axis];
    width_ = tensor.shape[3];
  }

  /// Where a run's rows are in the channel that begins `channel` elements behind the first. Beside
  /// them lies something else, as far as whole vectors reach; outside of the image, zeros.
  void find(const TileRun& run, std::int64_t channel, const float* (&rows)[Size]) noexcept {
    const std::int64_t at = channel + run.source;
    const std::int64_t read = run.vectors * lanes;
    // Nothing may be read outside of the tensor.
    if (column_ == 1 && at + run.first_row * row_ >= 0 &&
        at + (run.end_row - 1) * row_ + read <= span_) {
      for (int r = 0; r < Size; ++r)
        rows[r] = r >= run.first_row && r < run.end_row ? begin_ + at + r * row_ : zeros_;
      return;
    }
    const std::int64_t first = std::max<std::int64_t>(-run.left, 0);
    const std::int64_t end = std::min(read, width_ - run.left);
    for (int r = 0; r < Size; ++r) {
      rows[r] = zeros_;
      if (r < run.first_row || r >= run.end_row) continue;
      for (std::int64_t x = first; x < end; ++x)
        copies_[r][x] = begin_[at + r * row_ + x * column_];
      rows[r] = copies_[r];
    }
  }
  /// Has the lines of a run's own four rows fetched.
  void prefetch(const TileRun& run, std::int64_t channel) const noexcept {
    const float* const at = begin_ + channel + run.source;
    for (std::int64_t r = run.first_row; r < std::min<std::int64_t>(run.end_row, 5); ++r)
      for (std::int64_t v = 0; v < run.vectors; ++v) __builtin_prefetch(at + r * row_ + v * lanes);
  }

 private:
  static constexpr std::int64_t lanes = static_cast<std::int64_t>(Vec<float, A>::size);

  const float* begin_;
  std::int64_t row_;
  std::int64_t column_;
  std::int64_t span_ = 1;
  std::int64_t width_;
  alignas(64) float zeros_[tile_line<A, Width>] = {};
  alignas(64) float copies_[Size][tile_line<A, Width>] = {};
};

}  // namespace troupe::cpu
