#pragma once

#include "channel_blocks.hpp"
#include "conv2d_patch.hpp"
#include "gemm.hpp"
#include "rooms.hpp"

#include <troupe/tensor/ops/conv2d.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>

/// Convolution of bfloat16 backward to the weight on tiles of 16 rows of 32 numbers:
/// dw[o, c, tap] = Σ dy[o, place] · x[c, place under tap], over all places of all images.
///
/// A row of the left tile is a channel of dy along 32 places; the right one has pairs of places of
/// 16 channels of x. Another tap is another pair to begin with in the same panel of pairs, and as
/// taps an odd number of places apart begin within a pair, there are panels of two kinds. Rows and
/// pairs all begin where a line of the cache does: a tile that is read across two takes four times
/// as long. Of few channels there is a panel column for each channel's each tap instead. Planes are
/// as wide as x with its padding, and dy is 0 where it has nothing. Each slice of the images adds
/// up its own dw, and a second phase adds the slices in order.
namespace troupe::cpu {

/// How the sum is cut: images into pieces of some rows, and all pieces into slices.
template <class A>
struct TileSlices {
  static constexpr std::int64_t line = 32;  ///< places in a row of a tile
  static constexpr std::int64_t tile_rows = 16;
  static constexpr std::int64_t room_bytes_max = 320 * 1024;
  static constexpr std::int64_t copied_channels_max = 8;

  explicit TileSlices(const KernelCall& call) noexcept {
    const auto& op = call.op<Conv2dBackwardWeight>();
    const Shape& dy = call.in[0].shape;
    const Shape& input = call.in[1].shape;
    const Shape& weight = call.out[0].shape;
    images = input[0];
    rows = weight[0];
    channels = weight[1];
    y = {input[2], dy[2], weight[2], op.stride[0], 1, op.dilation[0], op.padding[0]};
    x = {input[3], dy[3], weight[3], op.stride[1], 1, op.dilation[1], op.padding[1]};
    columns = reach<A>(x, x.dest);
    copies = channels <= copied_channels_max;
  }
  TileSlices(const KernelCall& call, const Plan& plan) noexcept : TileSlices(call) {
    piece_rows = plan.numbers[0];
    slice_pieces = plan.numbers[1];
    block_pieces = plan.numbers[2];
    rooms = plan.numbers[3];
  }

  /// Cuts by shape.
  void cut(Plan& plan) noexcept {
    piece_rows = y.dest;
    while (piece_rows > 1 && piece_bytes() > room_bytes_max / 2) piece_rows = (piece_rows + 1) / 2;
    const double flops = 2.0 * static_cast<double>(images * rows * channels * taps()) *
                         static_cast<double>(y.dest * x.dest);
    const double wanted = flops / (2 * chunk_flops<A>(flops));
    const double affordable = 16e6 / static_cast<double>(partial_bytes());
    const auto slices = static_cast<std::int64_t>(
        std::clamp(std::min(wanted, affordable), 1.0, static_cast<double>(pieces())));
    slice_pieces = (pieces() + slices - 1) / slices;
    const std::int64_t most =
        std::clamp<std::int64_t>(room_bytes_max / piece_bytes(), 1, slice_pieces);
    const std::int64_t blocks = (slice_pieces + most - 1) / most;
    block_pieces = (slice_pieces + blocks - 1) / blocks;
    rooms = Room<A>::count(this->slices(), static_cast<std::size_t>(room_bytes()));
    plan.numbers = {piece_rows, slice_pieces, block_pieces, rooms};
  }

  [[nodiscard]] std::int64_t taps() const noexcept { return y.taps * x.taps; }
  [[nodiscard]] std::int64_t strips() const noexcept {
    return (y.dest + piece_rows - 1) / piece_rows;
  }
  [[nodiscard]] std::int64_t pieces() const noexcept { return images * strips(); }
  [[nodiscard]] std::int64_t slices() const noexcept {
    return (pieces() + slice_pieces - 1) / slice_pieces;
  }
  [[nodiscard]] std::int64_t result_blocks() const noexcept {
    return (rows + block_channels - 1) / block_channels;
  }
  /// Right tiles: 16 channels under one tap, or 16 channels' taps.
  [[nodiscard]] std::int64_t units() const noexcept {
    return copies ? (channels * taps() + tile_rows - 1) / tile_rows : channel_tiles() * taps();
  }
  [[nodiscard]] std::int64_t channel_tiles() const noexcept {
    return (channels + tile_rows - 1) / tile_rows;
  }
  [[nodiscard]] std::int64_t offset_of(std::int64_t tap) const noexcept {
    return tap / x.taps * y.dilation * columns + tap % x.taps * x.dilation;
  }
  /// Places of a piece, in whole lines.
  [[nodiscard]] std::int64_t places() const noexcept { return ceil_to(piece_rows * columns, line); }
  [[nodiscard]] std::int64_t window_rows() const noexcept { return reach<A>(y, piece_rows); }
  /// Elements of a plane of x: what is read of it for the last tap of the last line.
  [[nodiscard]] std::int64_t plane() const noexcept {
    const std::int64_t read = offset_of(taps() - 1) + places();
    return ceil_to(std::max(window_rows() * columns, read) + 1, line) + line;
  }
  /// Pairs of a panel of x.
  [[nodiscard]] std::int64_t panel_pairs() const noexcept {
    return copies ? places() / 2 : (plane() - line) / 2;
  }
  [[nodiscard]] std::int64_t panels() const noexcept {
    return copies ? units() : 2 * channel_tiles();
  }
  /// Elements between lines of dy: an odd number of lines of the cache, so that rows of a tile do
  /// not meet in the same ones.
  [[nodiscard]] std::int64_t dy_line() const noexcept { return ceil_to(places(), 2 * line) + line; }

  // What a room holds, in bytes from its beginning: of each piece panels of x, then lines of dy.
  [[nodiscard]] std::int64_t lines_at() const noexcept {
    return panels() * panel_pairs() * tile_rows * 4;
  }
  [[nodiscard]] std::int64_t piece_bytes() const noexcept {
    return lines_at() + result_blocks() * block_channels * dy_line() * 2;
  }
  /// Behind the pieces: planes of x.
  [[nodiscard]] std::int64_t room_bytes() const noexcept {
    return block_pieces * piece_bytes() + tile_rows * plane() * 2;
  }

  /// Bytes of a slice's sums: [block of dy's channels][unit][half][channel of dy][column].
  [[nodiscard]] std::int64_t partial_bytes() const noexcept {
    return result_blocks() * units() * tile_rows * block_channels * 4;
  }
  [[nodiscard]] float* partial(std::byte* scratch, std::int64_t slice) const noexcept {
    return reinterpret_cast<float*>(scratch + slice * partial_bytes());
  }

  static std::int64_t ceil_to(std::int64_t n, std::int64_t step) noexcept {
    return (n + step - 1) / step * step;
  }

  std::int64_t images = 0;
  std::int64_t rows = 0;      ///< channels of dy
  std::int64_t channels = 0;  ///< of x
  Axis y;
  Axis x;
  std::int64_t columns = 0;  ///< of a plane
  bool copies = false;       ///< panels have a column for each tap
  std::int64_t piece_rows = 1;
  std::int64_t slice_pieces = 1;
  std::int64_t block_pieces = 1;  ///< in a room at once
  std::int64_t rooms = 0;
};

/// One slice at work in its room.
template <class A, class T>
class TileWeightGradient {
 public:
  TileWeightGradient(
      const KernelCall& call, const TileSlices<A>& slices, std::byte* room, float* sums) noexcept
      : call_(call), s_(slices), room_(room), sums_(sums) {
    std::memset(room, 0, static_cast<std::size_t>(s_.room_bytes()));
  }

  void run(std::int64_t first_piece, std::int64_t end_piece) noexcept {
    for (std::int64_t piece = first_piece; piece < end_piece; piece += s_.block_pieces) {
      const std::int64_t count = std::min(s_.block_pieces, end_piece - piece);
      for (std::int64_t i = 0; i < count; ++i) fill(piece + i, room_ + i * s_.piece_bytes());
      const bool goes_on = piece > first_piece;
      for (std::int64_t block = 0; block < s_.result_blocks(); ++block)
        if (s_.rows - block * block_channels > 16)
          multiply_block<2>(block, count, goes_on);
        else
          multiply_block<1>(block, count, goes_on);
    }
  }

 private:
  /// Lays out what a piece has of x and dy.
  void fill(std::int64_t piece, std::byte* at) noexcept {
    const std::int64_t image = piece / s_.strips();
    const std::int64_t top = piece % s_.strips() * s_.piece_rows;
    const std::int64_t first = top - s_.y.padding;
    const std::int64_t begin = std::clamp<std::int64_t>(-first, 0, s_.window_rows());
    const std::int64_t end = std::clamp<std::int64_t>(s_.y.source - first, begin, s_.window_rows());
    ImagePart x = part_of(call_.in[1], image, first + begin, end - begin, s_.x.source);
    x.channels = s_.channels;
    x.columns = std::min(x.columns, std::max<std::int64_t>(s_.columns - s_.x.padding, 0));
    fill_panels(x, begin, reinterpret_cast<Pair*>(at));
    ImagePart dy =
        part_of(call_.in[0], image, top, std::min(s_.piece_rows, s_.y.dest - top), s_.x.dest);
    dy.channels = s_.rows;
    fill_planes(
        dy, 0, s_.piece_rows, 0, s_.dy_line(), reinterpret_cast<BFloat16*>(at + s_.lines_at()));
  }

  static ImagePart part_of(
      const View& view,
      std::int64_t image,
      std::int64_t first_row,
      std::int64_t rows,
      std::int64_t columns) noexcept {
    ImagePart part;
    part.channel = view.strides[1];
    part.row = view.strides[2];
    part.column = view.strides[3];
    part.data = view.as<const BFloat16>() + image * view.strides[0] + first_row * part.row;
    part.rows = rows;
    part.columns = columns;
    return part;
  }

  /// Calls `use(place, 33 vectors)` for each line of places: one holds 32 channels of a place of
  /// the planes, zeros outside of the part; the last is the first of the next line.
  template <class Use>
  void for_lines(
      const ImagePart& part,
      std::int64_t first_channel,
      std::int64_t begin,
      std::int64_t left,
      std::int64_t places,
      const Use& use) const noexcept {
    const __mmask32 mask = first_of_32<A>(part.channels - first_channel);
    std::int64_t row = -begin;
    std::int64_t column = -left;
    const auto next = [&] {
      const bool inside = row >= 0 && row < part.rows && column >= 0 && column < part.columns;
      const BFloat16* const from =
          part.data + first_channel + row * part.row + column * part.column;
      if (++column == s_.columns - left) {
        column = -left;
        ++row;
      }
      return inside ? _mm512_maskz_loadu_epi16(mask, from) : _mm512_setzero_si512();
    };
    constexpr std::int64_t size = TileSlices<A>::line;
    __m512i line[size + 1];
    line[size] = next();
    for (std::int64_t place = 0; place < places; place += size) {
      line[0] = line[size];
      for (std::int64_t i = 1; i <= size; ++i) line[i] = next();
      use(place, line);
    }
  }

  /// Lays a part out as planes, of which it has the rows from `begin` on and the columns from
  /// `left` on; what is beside it is 0.
  void fill_planes(
      const ImagePart& part,
      std::int64_t begin,
      std::int64_t rows,
      std::int64_t left,
      std::int64_t plane,
      BFloat16* to) noexcept {
    if (part.channel == 1 && part.channels > 1) {
      for (std::int64_t first = 0; first < part.channels; first += block_channels)
        for_lines(
            part,
            first,
            begin,
            left,
            rows * s_.columns,
            [&](std::int64_t place, const __m512i* line) {
              turn_square<A>(
                  [&](int i) { return line[i]; },
                  [&](int channel, __m512i places) {
                    if (first + channel < part.channels)
                      _mm512_storeu_si512(to + (first + channel) * plane + place, places);
                  });
            });
      return;
    }
    for (std::int64_t channel = 0; channel < part.channels; ++channel, to += plane) {
      std::fill_n(to, begin * s_.columns, BFloat16{});
      const std::int64_t end = begin + std::max<std::int64_t>(part.rows, 0);
      std::fill_n(to + end * s_.columns, (rows - end) * s_.columns, BFloat16{});
      const BFloat16* from = part.data + channel * part.channel;
      BFloat16* row = to + begin * s_.columns + left;
      for (std::int64_t i = begin; i < end; ++i, from += part.row, row += s_.columns)
        copy_columns(from, part.column, part.columns, row);
    }
  }
  static void copy_columns(
      const BFloat16* from, std::int64_t step, std::int64_t count, BFloat16* to) noexcept {
    if (step != 1) {
      for (std::int64_t j = 0; j < count; ++j) to[j] = from[j * step];
      return;
    }
    for (std::int64_t j = 0; j < count; j += 32) {
      const __mmask32 mask = first_of_32<A>(count - j);
      _mm512_mask_storeu_epi16(to + j, mask, _mm512_maskz_loadu_epi16(mask, from + j));
    }
  }

  [[nodiscard]] Pair* panel(Pair* panels, std::int64_t number) const noexcept {
    return panels + number * s_.panel_pairs() * TileSlices<A>::tile_rows;
  }

  /// Lays x out as panels of pairs; it has the rows of the planes from `begin` on.
  void fill_panels(ImagePart part, std::int64_t begin, Pair* panels) noexcept {
    using S = TileSlices<A>;
    auto* const planes = reinterpret_cast<BFloat16*>(room_ + s_.block_pieces * s_.piece_bytes());
    if (s_.copies) {
      fill_planes(part, begin, s_.window_rows(), s_.x.padding, s_.plane(), planes);
      for (std::int64_t unit = 0; unit < s_.units(); ++unit) {
        const BFloat16* rows[S::tile_rows];
        for (std::int64_t i = 0; i < S::tile_rows; ++i) {
          const std::int64_t weight = unit * S::tile_rows + i;
          rows[i] = weight < s_.channels * s_.taps() ? planes + weight / s_.taps() * s_.plane() +
                                                           s_.offset_of(weight % s_.taps())
                                                     : nullptr;
        }
        turn_rows(rows, s_.places(), panel(panels, unit));
      }
      return;
    }
    if (part.channel == 1) {
      const std::int64_t tiles = s_.channel_tiles();
      for (std::int64_t tile = 0; tile < tiles; tile += 2)
        for_lines(
            part,
            tile * S::tile_rows,
            begin,
            s_.x.padding,
            2 * s_.panel_pairs(),
            [&](std::int64_t place, const __m512i* line) {
              for (std::int64_t i = 0; i < S::line; ++i) {
                __m512i low, high;
                interleave<A>(line[i], line[i + 1], low, high);
                Pair* const to =
                    panel(panels, i % 2 * tiles + tile) + (place + i) / 2 * S::tile_rows;
                _mm512_store_si512(to, low);
                if (tile + 1 < tiles)
                  _mm512_store_si512(to + s_.panel_pairs() * S::tile_rows, high);
              }
            });
      return;
    }
    const std::int64_t channels = part.channels;
    for (std::int64_t tile = 0; tile < s_.channel_tiles(); ++tile) {
      part.channels = std::min(S::tile_rows, channels - tile * S::tile_rows);
      fill_planes(part, begin, s_.window_rows(), s_.x.padding, s_.plane(), planes);
      part.data += S::tile_rows * part.channel;
      for (std::int64_t odd = 0; odd < 2; ++odd) {
        const BFloat16* rows[S::tile_rows];
        for (std::int64_t i = 0; i < S::tile_rows; ++i)
          rows[i] = i < part.channels ? planes + i * s_.plane() + odd : nullptr;
        turn_rows(rows, 2 * s_.panel_pairs(), panel(panels, odd * s_.channel_tiles() + tile));
      }
    }
  }
  /// Turns 16 rows of places, null ones of zeros, to pairs.
  static void turn_rows(const BFloat16* const* rows, std::int64_t places, Pair* to) noexcept {
    for (std::int64_t place = 0; place < places; place += TileSlices<A>::line) {
      __m512i square[16];
      for (int i = 0; i < 16; ++i)
        square[i] = rows[i] ? _mm512_loadu_si512(rows[i] + place) : _mm512_setzero_si512();
      transpose_words<A>(square);
      for (int i = 0; i < 16; ++i, to += 16) _mm512_store_si512(to, square[i]);
    }
  }

  template <int C>
  void multiply_block(std::int64_t block, std::int64_t count, bool goes_on) noexcept {
    const std::int64_t units = s_.units();
    std::int64_t unit = 0;
    for (; unit + 3 <= units; unit += 3) multiply<3, C>(block, unit, count, goes_on);
    if (units - unit == 2) multiply<2, C>(block, unit, count, goes_on);
    if (units - unit == 1) multiply<1, C>(block, unit, count, goes_on);
  }

  /// Adds the products of some neighboring right tiles with a block of dy's channels.
  template <int U, int C>
  void multiply(std::int64_t block, std::int64_t unit, std::int64_t count, bool goes_on) noexcept {
    using S = TileSlices<A>;
    constexpr std::int64_t line_bytes = 64;
    constexpr std::int64_t tile_sums = S::tile_rows * 16;
    float* const sums = sums_ + (block * s_.units() + unit) * 2 * tile_sums;
    for_tiles<U, C>([&]<int Tile>(int u, int c) {
      if (goes_on)
        tiles_.template load<Tile>(sums + (2 * u + c) * tile_sums, line_bytes);
      else
        tiles_.template zero<Tile>();
    });
    std::int64_t right_at[U];
    for (int u = 0; u < U; ++u) right_at[u] = right_of(unit + u);
    const std::int64_t dy_bytes = s_.dy_line() * 2;
    for (std::int64_t piece = 0; piece < count; ++piece) {
      const std::byte* const right = room_ + piece * s_.piece_bytes();
      const std::byte* const left = right + s_.lines_at() + block * block_channels * dy_bytes;
      for (std::int64_t place = 0; place < s_.places(); place += S::line)
        for_tiles<U, C>([&]<int Tile>(int u, int c) {
          if (c == 0)
            tiles_.template load<7>(right + right_at[u] + place / 2 * line_bytes, line_bytes);
          tiles_.template load<6>(left + c * S::tile_rows * dy_bytes + place * 2, dy_bytes);
          tiles_.template multiply<Tile, 6, 7>();
        });
    }
    for_tiles<U, C>([&]<int Tile>(int u, int c) {
      tiles_.template store<Tile>(sums + (2 * u + c) * tile_sums, line_bytes);
    });
  }
  /// Where a right tile begins in a piece, in bytes.
  [[nodiscard]] std::int64_t right_of(std::int64_t unit) const noexcept {
    constexpr std::int64_t line_bytes = 64;
    if (s_.copies) return unit * s_.panel_pairs() * line_bytes;
    const std::int64_t offset = s_.offset_of(unit % s_.taps());
    const std::int64_t panel = offset % 2 * s_.channel_tiles() + unit / s_.taps();
    return (panel * s_.panel_pairs() + offset / 2) * line_bytes;
  }

  template <int U, int C, class Use>
  [[gnu::always_inline]] static void for_tiles(const Use& use) noexcept {
    use.template operator()<0>(0, 0);
    if constexpr (C == 2) use.template operator()<1>(0, 1);
    if constexpr (U >= 2) use.template operator()<C>(1, 0);
    if constexpr (U >= 2 && C == 2) use.template operator()<3>(1, 1);
    if constexpr (U >= 3) use.template operator()<2 * C>(2, 0);
    if constexpr (U >= 3 && C == 2) use.template operator()<5>(2, 1);
  }

  const KernelCall& call_;
  const TileSlices<A>& s_;
  std::byte* room_;
  float* sums_;
  T tiles_;
};

template <class A>
void run_open_slices(const KernelCall& call, const Plan& plan, std::uint32_t, std::byte* scratch) {
  const TileSlices<A> s(call, plan);
  Room<A>::open(scratch + s.slices() * s.partial_bytes());
}

template <class A, class T>
void run_slice_tiles(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const TileSlices<A> s(call, plan);
  const Room<A> room(
      scratch + s.slices() * s.partial_bytes(), s.rooms, static_cast<std::size_t>(s.room_bytes()));
  TileWeightGradient<A, T> gradient(call, s, room.data(), s.partial(scratch, chunk));
  const std::int64_t first = chunk * s.slice_pieces;
  gradient.run(first, std::min(first + s.slice_pieces, s.pieces()));
}

/// Adds the slices in order, for one right tile and a block of dy's channels, and rounds.
template <class A>
void run_add_tiles(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using S = TileSlices<A>;
  const S s(call, plan);
  const std::int64_t unit = chunk % s.units();
  const std::int64_t first_row = chunk / s.units() * block_channels;
  const std::int64_t step = s.partial_bytes() / 4;
  const float* from = s.partial(scratch, 0) + chunk * block_channels * S::tile_rows;
  const std::int64_t weights = s.channels * s.taps();
  // The first column's weight in a row of dw, and from one column's to the next.
  const std::int64_t first =
      s.copies ? unit * S::tile_rows : unit / s.taps() * S::tile_rows * s.taps() + unit % s.taps();
  const std::int64_t next = s.copies ? 1 : s.taps();
  const std::int64_t columns = std::min(S::tile_rows, (weights - first + next - 1) / next);
  for (std::int64_t i = 0; i < std::min(block_channels, s.rows - first_row); ++i) {
    __m512 sum = _mm512_loadu_ps(from + i * S::tile_rows);
    for (std::int64_t slice = 1; slice < s.slices(); ++slice)
      sum = _mm512_add_ps(sum, _mm512_loadu_ps(from + i * S::tile_rows + slice * step));
    alignas(32) BFloat16 rounded[S::tile_rows];
    const __m256bh narrow = _mm512_cvtneps_pbh(sum);
    std::memcpy(static_cast<void*>(rounded), &narrow, sizeof rounded);
    BFloat16* const to = call.out[0].as<BFloat16>() + (first_row + i) * weights + first;
    for (std::int64_t j = 0; j < columns; ++j) to[j * next] = rounded[j];
  }
}

/// Plans the gradient of a convolution of bfloat16 to its weight by tiles; false where that is left
/// to the kernels of float32: groups, strides, and so few channels that tiles would be filled with
/// zeros.
template <class A, class T>
bool plan_tile_weight(const KernelCall& call, Plan& plan) {
  if (call.in[0].dtype != DType::bfloat16 || call.op<Conv2dBackwardWeight>().groups != 1)
    return false;
  TileSlices<A> s(call);
  if (s.y.step != 1 || s.x.step != 1 || s.rows < 8 || s.channels * s.taps() < 8 ||
      s.images * s.y.dest * s.x.dest == 0)
    return false;
  s.cut(plan);
  constexpr double tile_flops_per_ns = 1000;
  plan.scratch_bytes = static_cast<std::size_t>(s.slices() * s.partial_bytes()) +
                       Room<A>::head_bytes + static_cast<std::size_t>(s.rooms * s.room_bytes());
  plan.cost_ns = 100 + 2.0 * static_cast<double>(s.images * s.rows * s.channels * s.taps()) *
                           static_cast<double>(s.y.dest * s.x.dest) / tile_flops_per_ns;
  plan.add(&run_open_slices<A>, 1);
  plan.add(&run_slice_tiles<A, T>, s.slices());
  plan.add(&run_add_tiles<A>, s.units() * s.result_blocks());
  return true;
}

}  // namespace troupe::cpu
