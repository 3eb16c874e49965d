#pragma once

#include "channel_blocks.hpp"
#include "conv2d_correlation.hpp"
#include "gemm.hpp"
#include "rooms.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

/// Convolution of bfloat16 forward, and backward to the input, on tiles of 16 rows of 32 numbers,
/// as one correlation (see conv2d.cpp).
///
/// A row of the left tile is a place of the result, a column of the right one a channel of it. A
/// window of the source lies in a cache as [row][column][channel], so that what a tap meets at 16
/// neighbors of a row are 16 rows of a tile, 32 channels long, where they lie: nothing is copied
/// tap by tap. Only where the source has so few channels that most of those 32 would be zeros are
/// rows of all taps gathered. Places may run on beyond the end of a row into the next one's
/// padding; what comes of those is dropped.
///
/// Sums of some rows, for 32 channels, wait in the first-level cache, to be rounded once, pooled if
/// that is asked for, and turned to planes of channels. `T` holds the tiles, as in gemm_tiles.hpp.
namespace troupe::cpu {

/// How such a correlation is cut: images into strips of rows, strips into groups whose sums wait,
/// and strips of all images into chunks.
template <class A>
struct TileStrips : Correlation<A> {
  static constexpr std::int64_t window_bytes_max = 96 * 1024;
  static constexpr std::int64_t group_places = 128;
  static constexpr std::int64_t step_terms = 2 * pack_pairs;
  /// Places that a tile may reach beyond the last one of a window: its own, and where rows of
  /// places run on into the next as many more by the taps across.
  static constexpr std::int64_t beyond = 32;

  TileStrips(const KernelCall& call, const Plan& plan) noexcept
      : TileStrips(call, static_cast<CorrelationKind>(plan.numbers[0])) {
    strip_rows = plan.numbers[1];
    group_rows = plan.numbers[2];
    chunk_strips = plan.numbers[3];
    chunk_blocks = plan.numbers[4];
    rooms = plan.numbers[5];
  }

  TileStrips(const KernelCall& call, CorrelationKind kind) noexcept
      : Correlation<A>(Correlation<A>::of(call, kind)) {
    const std::int64_t wanted = reach<A>(this->x, this->x.dest);
    const std::int64_t whole_tiles = ceil_to(this->x.dest, 16);
    // Rows one behind the other, or each of whole tiles: whichever computes fewer places.
    const bool joined = this->y.step == 1 && this->x.step == 1 && wanted <= whole_tiles;
    across = joined ? wanted : whole_tiles;
    columns = joined ? wanted : reach<A>(this->x, whole_tiles);
    gathered_taps = ceil_to(this->x.taps, 4);
    const std::int64_t gathered_terms = this->channels * this->y.taps * gathered_taps;
    const std::int64_t gathered_steps = (gathered_terms + step_terms - 1) / step_terms;
    steps = source_blocks() * this->taps();
    gathers = this->x.dilation == 1 && 2 * gathered_steps < steps;
    if (gathers) steps = gathered_steps;
  }

  /// Cuts by shape.
  void cut(CorrelationKind kind, Plan& plan) noexcept {
    const std::int64_t row_bytes =
        columns * place_elements() * static_cast<std::int64_t>(sizeof(BFloat16));
    std::int64_t fit = window_bytes_max / row_bytes - (this->y.taps - 1) * this->y.dilation;
    fit = std::clamp<std::int64_t>((fit - 1) / this->y.step + 1, 1, this->y.dest);
    if (fit < this->y.dest) fit = std::max<std::int64_t>(fit / 2 * 2, 1);
    strip_rows = fit;
    group_rows = std::clamp<std::int64_t>(group_places / across / 2 * 2, 2, strip_rows + 1);
    if (strip_rows == 1) group_rows = 1;
    const double strip_flops =
        2.0 * static_cast<double>(this->rows * this->depth() * strip_rows * this->x.dest);
    const auto all = static_cast<double>(units());
    // With channels last a segment goes on with whole places.
    chunk_blocks = units() < 8 && !this->channels_last ? 1 : result_blocks();
    chunk_strips = std::clamp<std::int64_t>(
        static_cast<std::int64_t>(chunk_flops<A>(strip_flops * all) / std::max(strip_flops, 1.0)),
        1,
        units());
    rooms = Room<A>::count(chunks(), static_cast<std::size_t>(room_bytes()));
    plan.numbers = {
        static_cast<std::int64_t>(kind), strip_rows, group_rows, chunk_strips, chunk_blocks, rooms};
  }

  [[nodiscard]] std::int64_t source_blocks() const noexcept {
    return (this->channels + block_channels - 1) / block_channels;
  }
  [[nodiscard]] std::int64_t result_blocks() const noexcept {
    return (this->rows + block_channels - 1) / block_channels;
  }
  [[nodiscard]] std::int64_t strips() const noexcept {
    return (this->y.dest + strip_rows - 1) / strip_rows;
  }
  [[nodiscard]] std::int64_t units() const noexcept { return strips() * this->images; }
  [[nodiscard]] std::int64_t unit_chunks() const noexcept {
    return (units() + chunk_strips - 1) / chunk_strips;
  }
  [[nodiscard]] std::int64_t chunks() const noexcept {
    return unit_chunks() * ((result_blocks() + chunk_blocks - 1) / chunk_blocks);
  }
  /// Elements of the window at a place: all channels side by side, or none but one.
  [[nodiscard]] std::int64_t place_elements() const noexcept {
    return gathers ? this->channels : source_blocks() * block_channels;
  }
  [[nodiscard]] std::int64_t window_rows() const noexcept { return reach<A>(this->y, strip_rows); }
  /// Places of a plane of a window, and some that a last tile reads and nobody wants.
  [[nodiscard]] std::int64_t window_places() const noexcept {
    return window_rows() * columns + beyond * this->x.step;
  }
  [[nodiscard]] std::int64_t group_tiles(std::int64_t some_rows) const noexcept {
    return (some_rows * across + 15) / 16;
  }
  /// Pairs of one block of packed weights: [step][pair][channel].
  [[nodiscard]] std::int64_t packed_block() const noexcept {
    return steps * pack_pairs * block_channels;
  }
  [[nodiscard]] std::int64_t packed_bytes() const noexcept {
    return result_blocks() * packed_block() * static_cast<std::int64_t>(sizeof(Pair));
  }

  // What a room holds, in bytes from its beginning.
  [[nodiscard]] std::int64_t gathered_at() const noexcept {
    return ceil_to(window_places() * place_elements() * 2, 64);
  }
  [[nodiscard]] std::int64_t sums_at() const noexcept {
    return gathered_at() + (gathers ? group_tiles(group_rows) * 16 * steps * 64 : 0);
  }
  /// Rounded results, and places of pooling, before they are turned.
  [[nodiscard]] std::int64_t results_at() const noexcept {
    return sums_at() + group_tiles(group_rows) * 16 * block_channels * 4;
  }
  [[nodiscard]] std::int64_t results_size() const noexcept {
    return ceil_to(group_rows * this->x.dest, 32) * block_channels;
  }
  [[nodiscard]] std::int64_t room_bytes() const noexcept {
    return results_at() + 2 * results_size() * 2;
  }
  /// Whether groups hold whole windows of a pooling by 2×2.
  [[nodiscard]] bool can_pool() const noexcept {
    return (strips() == 1 || strip_rows % 2 == 0) && this->y.dest > 1 && this->x.dest > 1;
  }

  static std::int64_t ceil_to(std::int64_t n, std::int64_t step) noexcept {
    return (n + step - 1) / step * step;
  }

  std::int64_t across = 0;         ///< places that tiles compute in a row
  std::int64_t columns = 0;        ///< of a window
  std::int64_t gathered_taps = 0;  ///< of a row of the kernel, with zeros behind
  std::int64_t steps = 0;          ///< of 32 terms, in a sum
  bool gathers = false;            ///< rows of tiles are gathered, the window is planes of channels
  std::int64_t strip_rows = 1;
  std::int64_t group_rows = 1;
  std::int64_t chunk_strips = 1;
  std::int64_t chunk_blocks = 1;  ///< of the result's channels, in a chunk
  std::int64_t rooms = 0;
};

/// Packs a block of the weights as pairs, in the order in which steps read them.
template <class A>
void run_pack_tile_weights(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const TileStrips<A> s(call, plan);
  auto* const to = reinterpret_cast<BFloat16*>(scratch) + chunk * s.packed_block() * 2;
  std::memset(static_cast<void*>(to), 0, static_cast<std::size_t>(s.packed_block()) * sizeof(Pair));
  const auto put = [&](std::int64_t term, std::int64_t column, BFloat16 weight) {
    to[(term / 2 * block_channels + column) * 2 + term % 2] = weight;
  };
  const BFloat16* const weights = call.in[1].as<const BFloat16>() + s.weight_start;
  const std::int64_t first = chunk * block_channels;
  for (std::int64_t column = 0; column < std::min(block_channels, s.rows - first); ++column)
    for (std::int64_t channel = 0; channel < s.channels; ++channel) {
      const BFloat16* const from =
          weights + (first + column) * s.weight_row + channel * s.weight_channel;
      for (std::int64_t down = 0; down < s.y.taps; ++down)
        for (std::int64_t right = 0; right < s.x.taps; ++right) {
          const std::int64_t step = (channel / block_channels * s.y.taps + down) * s.x.taps + right;
          const std::int64_t term = s.gathers
                                        ? (channel * s.y.taps + down) * s.gathered_taps + right
                                        : step * s.step_terms + channel % block_channels;
          put(term, column, from[down * s.weight_y + right * s.weight_x]);
        }
    }
}

/// One chunk at work in its room.
template <class A, class T>
class TileCorrelation {
 public:
  TileCorrelation(const KernelCall& call, const TileStrips<A>& strips, std::byte* room) noexcept
      : call_(call),
        s_(strips),
        window_(reinterpret_cast<BFloat16*>(room)),
        gathered_(reinterpret_cast<BFloat16*>(room + strips.gathered_at())),
        sums_(reinterpret_cast<float*>(room + strips.sums_at())),
        results_(reinterpret_cast<std::uint16_t*>(room + strips.results_at())) {
    // Borders that no strip writes, and the zeros behind gathered terms.
    std::memset(room, 0, static_cast<std::size_t>(strips.sums_at()));
  }

  void run(
      std::int64_t unit,
      std::int64_t first_block,
      std::int64_t end_block,
      const Pair* weights) noexcept {
    image_ = unit / s_.strips();
    top_ = unit % s_.strips() * s_.strip_rows;
    const std::int64_t rows = std::min(s_.strip_rows, s_.y.dest - top_);
    copy_window(rows);
    if (s_.gathers) {
      for (std::int64_t row = 0; row < rows; row += s_.group_rows) {
        gather(row, std::min(s_.group_rows, rows - row));
        for (std::int64_t block = first_block; block < end_block; ++block)
          compute(row, std::min(s_.group_rows, rows - row), block, weights);
      }
    } else {
      for (std::int64_t block = first_block; block < end_block; ++block)
        for (std::int64_t row = 0; row < rows; row += s_.group_rows)
          compute(row, std::min(s_.group_rows, rows - row), block, weights);
    }
  }

 private:
  void copy_window(std::int64_t rows) noexcept {
    const View& source = call_.in[0];
    const std::int64_t window_rows = reach<A>(s_.y, rows);
    const std::int64_t first = top_ * s_.y.step - s_.y.padding;
    const std::int64_t begin = std::clamp<std::int64_t>(-first, 0, window_rows);
    const std::int64_t end = std::clamp<std::int64_t>(s_.y.source - first, begin, window_rows);
    const std::int64_t left = std::max<std::int64_t>(-s_.x.padding, 0);  // of the source
    const std::int64_t to_left = std::max<std::int64_t>(s_.x.padding, 0);
    const std::int64_t width = std::clamp<std::int64_t>(
        s_.x.source - left, 0, std::max<std::int64_t>(s_.columns - to_left, 0));
    ImagePart part;
    part.channel = source.strides[1];
    part.row = source.strides[2];
    part.column = source.strides[3];
    part.data = source.as<const BFloat16>() + image_ * source.strides[0] +
                (first + begin) * part.row + left * part.column;
    part.channels = s_.channels;
    part.rows = end - begin;
    part.columns = width;
    if (s_.gathers) return copy_planes(part, begin, end, to_left, window_rows);
    const std::int64_t place = s_.place_elements();
    const std::int64_t row_size = s_.columns * place;
    const auto clear = [&](std::int64_t from, std::int64_t to) {
      if (from < to)
        std::memset(
            static_cast<void*>(window_ + from * row_size),
            0,
            static_cast<std::size_t>((to - from) * row_size) * sizeof(BFloat16));
    };
    clear(0, begin);
    clear(end, window_rows);
    if (part.rows <= 0 || part.columns <= 0) return;
    BFloat16* const to = window_ + begin * row_size + to_left * place;
    read_places<A>(
        part, [&](std::int64_t row, std::int64_t column, std::int64_t block, __m512i channels) {
          _mm512_storeu_si512(
              to + row * row_size + column * place + block * block_channels, channels);
        });
  }

  void copy_planes(
      const ImagePart& part,
      std::int64_t begin,
      std::int64_t end,
      std::int64_t to_left,
      std::int64_t window_rows) noexcept {
    for (std::int64_t channel = 0; channel < part.channels; ++channel) {
      BFloat16* const plane = window_ + channel * s_.window_places();
      std::fill_n(plane, begin * s_.columns, BFloat16{});
      std::fill_n(plane + end * s_.columns, (window_rows - end) * s_.columns, BFloat16{});
      const BFloat16* from = part.data + channel * part.channel;
      BFloat16* to = plane + begin * s_.columns + to_left;
      for (std::int64_t row = 0; row < part.rows; ++row, from += part.row, to += s_.columns)
        if (part.column == 1)
          std::copy_n(from, part.columns, to);
        else
          for (std::int64_t j = 0; j < part.columns; ++j) to[j] = from[j * part.column];
    }
  }

  /// Makes the rows of tiles for a group: the kernel's rows one behind the other, four numbers at a
  /// time.
  void gather(std::int64_t first_row, std::int64_t rows) noexcept {
    for (std::int64_t row = 0; row < rows; ++row)
      for (std::int64_t column = 0; column < s_.across; column += 8) {
        const BFloat16* const from =
            window_ + (first_row + row) * s_.y.step * s_.columns + column * s_.x.step;
        BFloat16* const to = gathered_ + (row * s_.across + column) * line();
        if (s_.x.step == 1 && s_.gathered_taps == 4 && column + 8 <= s_.across)
          gather_eight(from, to);
        else
          for (std::int64_t i = 0; i < std::min<std::int64_t>(8, s_.across - column); ++i)
            gather_place(from + i * s_.x.step, to + i * line());
      }
  }
  [[nodiscard]] std::int64_t line() const noexcept { return s_.steps * s_.step_terms; }
  /// A number for each row of the kernel in each channel, and where that lies in the window.
  [[nodiscard]] std::int64_t kernel_rows() const noexcept { return s_.channels * s_.y.taps; }
  [[nodiscard]] std::int64_t kernel_row_at(std::int64_t kernel_row) const noexcept {
    return kernel_row / s_.y.taps * s_.window_places() +
           kernel_row % s_.y.taps * s_.y.dilation * s_.columns;
  }

  void gather_place(const BFloat16* from, BFloat16* to) const noexcept {
    const std::int64_t rest = s_.x.taps % 4;
    const std::uint64_t last_mask = rest == 0 ? ~0ull : (1ull << 16 * rest) - 1;
    for (std::int64_t kernel_row = 0; kernel_row < kernel_rows(); ++kernel_row) {
      const BFloat16* at = from + kernel_row_at(kernel_row);
      for (std::int64_t four = 4; four <= s_.gathered_taps; four += 4, at += 4, to += 4) {
        std::uint64_t numbers;
        std::memcpy(&numbers, at, sizeof numbers);
        if (four == s_.gathered_taps) numbers &= last_mask;
        std::memcpy(static_cast<void*>(to), &numbers, sizeof numbers);
      }
    }
  }
  /// The same for eight neighbors, two of the kernel's rows at a time: each register has four
  /// numbers of each place.
  void gather_eight(const BFloat16* from, BFloat16* to) const noexcept {
    alignas(64) static constexpr std::uint16_t neighbors[32] = {0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4,
                                                                5, 3, 4, 5, 6, 4, 5, 6, 7, 5, 6,
                                                                7, 8, 6, 7, 8, 9, 7, 8, 9, 10};
    const __m512i order = _mm512_load_si512(neighbors);
    const auto taps = static_cast<__mmask32>(((1u << s_.x.taps) - 1) * 0x11111111u);
    const auto fours = [&](std::int64_t kernel_row) {
      if (kernel_row >= kernel_rows()) return _mm512_setzero_si512();
      const auto* const at = reinterpret_cast<const __m256i*>(from + kernel_row_at(kernel_row));
      return _mm512_maskz_permutexvar_epi16(
          taps, order, _mm512_castsi256_si512(_mm256_loadu_si256(at)));
    };
    for (std::int64_t kernel_row = 0; kernel_row < kernel_rows(); kernel_row += 2, to += 8) {
      const __m512i first = fours(kernel_row);
      const __m512i second = fours(kernel_row + 1);
      const __m512i even = _mm512_unpacklo_epi64(first, second);
      const __m512i odd = _mm512_unpackhi_epi64(first, second);
      const auto put = [&](std::int64_t place, __m128i numbers) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to + place * line()), numbers);
      };
      put(0, _mm512_castsi512_si128(even));
      put(1, _mm512_castsi512_si128(odd));
      put(2, _mm512_extracti32x4_epi32(even, 1));
      put(3, _mm512_extracti32x4_epi32(odd, 1));
      put(4, _mm512_extracti32x4_epi32(even, 2));
      put(5, _mm512_extracti32x4_epi32(odd, 2));
      put(6, _mm512_extracti32x4_epi32(even, 3));
      put(7, _mm512_extracti32x4_epi32(odd, 3));
    }
  }

  void compute(
      std::int64_t row, std::int64_t rows, std::int64_t block, const Pair* weights) noexcept {
    const std::int64_t channels = std::min(block_channels, s_.rows - block * block_channels);
    const Pair* const b = weights + block * s_.packed_block();
    const std::int64_t tiles = s_.group_tiles(rows);
    for (std::int64_t tile = 0; tile < tiles; tile += 2) {
      float* const to = sums_ + tile * 16 * block_channels;
      if (tile + 1 < tiles)
        channels > 16 ? multiply<2, 2>(row, tile, b, to) : multiply<2, 1>(row, tile, b, to);
      else
        channels > 16 ? multiply<1, 2>(row, tile, b, to) : multiply<1, 1>(row, tile, b, to);
    }
    load_bias(block * block_channels, channels);
    if (call_.pools)
      pool(row, rows, block * block_channels, channels);
    else
      round(row, rows, block * block_channels, channels);
  }

  /// Where a tile of a group begins.
  [[nodiscard]] const BFloat16* tile_at(std::int64_t first_row, std::int64_t tile) const noexcept {
    if (s_.gathers) return gathered_ + tile * 16 * line();
    const std::int64_t row = first_row + tile * 16 / s_.across;
    const std::int64_t column = tile * 16 % s_.across;
    return window_ + (row * s_.y.step * s_.columns + column * s_.x.step) * s_.place_elements();
  }

  template <int R, int C>
  void multiply(std::int64_t first_row, std::int64_t tile, const Pair* b, float* sums) noexcept {
    const BFloat16* const a0 = tile_at(first_row, tile);
    const BFloat16* const a1 = R == 2 ? tile_at(first_row, tile + 1) : a0;
    const std::int64_t line_bytes =
        s_.gathers ? s_.steps * 64 : s_.x.step * s_.place_elements() * 2;
    tiles_.template zero<0>();
    if constexpr (C == 2) tiles_.template zero<1>();
    if constexpr (R == 2) tiles_.template zero<2>();
    if constexpr (R + C == 4) tiles_.template zero<3>();
    const auto step = [&](std::int64_t offset) {
      constexpr std::int64_t b_bytes = block_channels * sizeof(Pair);
      tiles_.template load<4>(a0 + offset, line_bytes);
      tiles_.template load<6>(b, b_bytes);
      tiles_.template multiply<0, 4, 6>();
      if constexpr (C == 2) {
        tiles_.template load<7>(b + 16, b_bytes);
        tiles_.template multiply<1, 4, 7>();
      }
      if constexpr (R == 2) {
        tiles_.template load<5>(a1 + offset, line_bytes);
        tiles_.template multiply<2, 5, 6>();
        if constexpr (C == 2) tiles_.template multiply<3, 5, 7>();
      }
      b += pack_pairs * block_channels;
    };
    if (s_.gathers) {
      for (std::int64_t i = 0; i < s_.steps; ++i) step(i * s_.step_terms);
    } else {
      const std::int64_t right = s_.x.dilation * s_.place_elements();
      const std::int64_t down = s_.y.dilation * s_.columns * s_.place_elements();
      for (std::int64_t block = 0; block < s_.source_blocks(); ++block)
        for (std::int64_t y = 0; y < s_.y.taps; ++y)
          for (std::int64_t x = 0; x < s_.x.taps; ++x)
            step(block * block_channels + y * down + x * right);
    }
    constexpr std::int64_t row_bytes = block_channels * sizeof(float);
    tiles_.template store<0>(sums, row_bytes);
    if constexpr (C == 2) tiles_.template store<1>(sums + 16, row_bytes);
    if constexpr (R == 2) tiles_.template store<2>(sums + 16 * block_channels, row_bytes);
    if constexpr (R + C == 4) tiles_.template store<3>(sums + 16 * block_channels + 16, row_bytes);
  }

  void load_bias(std::int64_t first, std::int64_t channels) noexcept {
    alignas(64) float bias[block_channels] = {};
    if (call_.in_count > 2) {
      const View& view = call_.in[2];
      for (std::int64_t i = 0; i < channels; ++i) {
        const std::int64_t at = (first + i) * view.strides[0];
        if (view.dtype == DType::float32) {
          bias[i] = view.as<const float>()[at];
        } else {
          const std::uint32_t bits = std::uint32_t{view.as<const BFloat16>()[at].bits} << 16;
          std::memcpy(&bias[i], &bits, sizeof bits);
        }
      }
    }
    bias_[0] = _mm512_load_ps(bias);
    bias_[1] = _mm512_load_ps(bias + 16);
  }
  /// The complete sums at a place of a group, rounded.
  [[nodiscard]] __m512i rounded(std::int64_t place) const noexcept {
    const float* const at = sums_ + place * block_channels;
    // −0 stays what it is where there is no bias.
    __m512 low = _mm512_load_ps(at);
    __m512 high = _mm512_load_ps(at + 16);
    if (call_.in_count > 2) {
      low = _mm512_add_ps(low, bias_[0]);
      high = _mm512_add_ps(high, bias_[1]);
    }
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
  }

  void round(
      std::int64_t row, std::int64_t rows, std::int64_t channel, std::int64_t channels) noexcept {
    auto* const y = call_.out[0].as<std::uint16_t>();
    if (s_.channels_last) {
      const __mmask32 mask = first_of_32<A>(channels);
      auto* to = y + ((image_ * s_.y.dest + top_ + row) * s_.x.dest) * s_.rows + channel;
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t j = 0; j < s_.x.dest; ++j, to += s_.rows)
          _mm512_mask_storeu_epi16(to, mask, rounded(i * s_.across + j));
      return;
    }
    std::uint16_t* to = results_;
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t j = 0; j < s_.x.dest; ++j, to += block_channels)
        _mm512_storeu_si512(to, rounded(i * s_.across + j));
    auto* const out = y + (image_ * s_.rows + channel) * s_.places() + (top_ + row) * s_.x.dest;
    turn(results_, rows * s_.x.dest, channels, [&](std::int64_t i) {
      return [=, this](std::int64_t place, __mmask32 mask, __m512i numbers) {
        _mm512_mask_storeu_epi16(out + i * s_.places() + place, mask, numbers);
      };
    });
  }

  /// Turns `places` dense places of 32 channels to rows of places: `row_of(channel)` gives what
  /// stores 32 of them, from the given place on.
  template <class RowOf>
  void turn(
      const std::uint16_t* from,
      std::int64_t places,
      std::int64_t channels,
      const RowOf& row_of) noexcept {
    for (std::int64_t place = 0; place < places; place += 32, from += 32 * block_channels) {
      const __mmask32 mask = first_of_32<A>(places - place);
      turn_square<A>(
          [&](int i) { return _mm512_loadu_si512(from + i * block_channels); },
          [&](int channel, __m512i numbers) {
            if (channel < channels) row_of(channel)(place, mask, numbers);
          });
    }
  }

  static __m512 widened(__m512i numbers, int half) noexcept {
    const __m256i some =
        half ? _mm512_extracti64x4_epi64(numbers, 1) : _mm512_castsi512_si256(numbers);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(some), 16));
  }

  /// As `Pairs::forward` does it (pool_pairs.hpp), with channels side by side.
  void pool(
      std::int64_t row, std::int64_t rows, std::int64_t channel, std::int64_t channels) noexcept {
    const std::int64_t width = s_.x.dest / 2;
    const std::int64_t height = s_.y.dest / 2;
    const bool last = s_.channels_last;
    const __mmask32 mask = last ? first_of_32<A>(channels) : ~0u;
    const std::int64_t step = last ? s_.rows : block_channels;
    std::uint16_t* to = last ? call_.out[1].as<std::uint16_t>() +
                                   (image_ * height + (top_ + row) / 2) * width * s_.rows + channel
                             : results_;
    std::uint16_t* places = results_ + s_.results_size();
    for (std::int64_t i = 0; i < rows / 2; ++i)
      for (std::int64_t j = 0; j < width; ++j, to += step, places += block_channels) {
        const std::int64_t upper = 2 * i * s_.across + 2 * j;
        const __m512i looked_at[4] = {
            rounded(upper),
            rounded(upper + 1),
            rounded(upper + s_.across),
            rounded(upper + s_.across + 1)};
        __m512 most[2];
        __m512i where[2];
#pragma GCC unroll 2
        for (int half = 0; half < 2; ++half) {
          most[half] = widened(looked_at[0], half);
          where[half] = _mm512_setzero_si512();
#pragma GCC unroll 3
          for (int k = 1; k < 4; ++k) {
            const __m512 value = widened(looked_at[k], half);
            const __mmask16 better = _mm512_cmp_ps_mask(value, most[half], _CMP_GT_OQ) |
                                     _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
            most[half] = _mm512_mask_mov_ps(most[half], better, value);
            where[half] = _mm512_mask_mov_epi32(where[half], better, _mm512_set1_epi32(k));
          }
          if (call_.pools_with_relu) {
            const __m512 zero = _mm512_setzero_ps();
            const __mmask16 positive = _mm512_cmp_ps_mask(most[half], zero, _CMP_GT_OQ);
            const __mmask16 odd = _mm512_cmp_ps_mask(most[half], most[half], _CMP_UNORD_Q);
            most[half] = _mm512_maskz_mov_ps(positive | odd, most[half]);
            where[half] = _mm512_mask_mov_epi32(_mm512_set1_epi32(4), positive, where[half]);
          }
        }
        _mm512_mask_storeu_epi16(
            to, mask, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(most[1], most[0])));
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(places), _mm512_cvtepi32_epi16(where[0]));
        _mm256_storeu_si256(
            reinterpret_cast<__m256i*>(places + 16), _mm512_cvtepi32_epi16(where[1]));
      }
    const std::int64_t plane = height * width;
    const std::int64_t at = (image_ * s_.rows + channel) * plane + (top_ + row) / 2 * width;
    if (!last) {
      auto* const out = call_.out[1].as<std::uint16_t>() + at;
      turn(results_, rows / 2 * width, channels, [&](std::int64_t i) {
        return [=](std::int64_t place, __mmask32 some, __m512i numbers) {
          _mm512_mask_storeu_epi16(out + i * plane + place, some, numbers);
        };
      });
    }
    if (call_.out_count < 3) return;
    auto* const kept = call_.out[2].as<std::uint8_t>() + at;
    turn(results_ + s_.results_size(), rows / 2 * width, channels, [&](std::int64_t i) {
      return [=](std::int64_t place, __mmask32 some, __m512i numbers) {
        _mm512_mask_cvtepi16_storeu_epi8(kept + i * plane + place, some, numbers);
      };
    });
  }

  const KernelCall& call_;
  const TileStrips<A>& s_;
  BFloat16* window_;
  BFloat16* gathered_;
  float* sums_;
  std::uint16_t* results_;
  std::int64_t image_ = 0;
  std::int64_t top_ = 0;
  __m512 bias_[2];
  T tiles_;
};

/// Where in the scratch rooms begin: behind the weights.
template <class A>
std::byte* tile_rooms(const KernelCall& call, const TileStrips<A>& s, std::byte* scratch) noexcept {
  return scratch + (call.packed ? 0 : s.packed_bytes());
}

/// Makes the rooms free, and packs the weights.
template <class A>
void run_begin_tiles(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  if (chunk == 0) Room<A>::open(tile_rooms(call, TileStrips<A>(call, plan), scratch));
  if (!call.packed) run_pack_tile_weights<A>(call, plan, chunk, scratch);
}

template <class A, class T>
void run_correlate_tiles(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const TileStrips<A> s(call, plan);
  const std::int64_t first_block = chunk / s.unit_chunks() * s.chunk_blocks;
  const std::int64_t end_block = std::min(first_block + s.chunk_blocks, s.result_blocks());
  const std::int64_t first = chunk % s.unit_chunks() * s.chunk_strips;
  const std::int64_t end = std::min(first + s.chunk_strips, s.units());
  const auto* const weights = reinterpret_cast<const Pair*>(call.packed ? call.packed : scratch);
  const Room<A> room(
      tile_rooms(call, s, scratch), s.rooms, static_cast<std::size_t>(s.room_bytes()));
  TileCorrelation<A, T> correlation(call, s, room.data());
  for (std::int64_t unit = first; unit < end; ++unit) {
    correlation.run(unit, first_block, end_block, weights);
    if (!call.segment) continue;
    const std::int64_t top = unit % s.strips() * s.strip_rows;
    const std::int64_t count = std::min(s.strip_rows, s.y.dest - top) * s.x.dest;
    if (s.channels_last) {
      const std::int64_t at = (unit / s.strips() * s.places() + top * s.x.dest) * s.rows;
      call.run_segment(*call.segment, at, at + count * s.rows);
      continue;
    }
    const std::int64_t channel = first_block * block_channels;
    const std::int64_t channels = std::min(end_block * block_channels, s.rows) - channel;
    const std::int64_t at = (unit / s.strips() * s.rows + channel) * s.places() + top * s.x.dest;
    if (s.strips() == 1)
      call.run_segment(*call.segment, at, at + channels * s.places());
    else
      for (std::int64_t c = 0; c < channels; ++c)
        call.run_segment(*call.segment, at + c * s.places(), at + c * s.places() + count);
  }
}

/// Plans a convolution of bfloat16, or its gradient to the input, by tiles; false where that is
/// left to the kernels of float32: groups, gradients of strides, and so few channels that tiles
/// would be filled with zeros.
template <class A, class T>
bool plan_tile_correlation(const KernelCall& call, CorrelationKind kind, Plan& plan) {
  if (call.in[0].dtype != DType::bfloat16) return false;
  TileStrips<A> s(call, kind);
  if (s.groups != 1 || s.y.insert != 1 || s.x.insert != 1 || s.rows < 8 || s.depth() < 8 ||
      s.images * s.places() == 0)
    return false;
  s.cut(kind, plan);
  const std::int64_t blocks = s.result_blocks();
  if (call.packs) {
    plan.packed_bytes = plan.scratch_bytes = static_cast<std::size_t>(s.packed_bytes());
    plan.cost_ns = 100 + 1.5 * static_cast<double>(s.rows * s.depth());
    plan.add(&run_pack_tile_weights<A>, blocks);
    return true;
  }
  constexpr double tile_flops_per_ns = 1000;
  plan.scratch_bytes = static_cast<std::size_t>((call.packed ? 0 : s.packed_bytes())) +
                       Room<A>::head_bytes + static_cast<std::size_t>(s.rooms * s.room_bytes());
  plan.cost_ns = 100 + 2.0 * static_cast<double>(s.images * s.rows) *
                           static_cast<double>(s.depth() * s.places()) / tile_flops_per_ns;
  plan.ends_with_segment = true;
  plan.pools = s.can_pool();
  // Of few channels there would be more to put in order than to turn.
  plan.prefers_channels_last = s.rows % block_channels == 0;
  plan.add(&run_begin_tiles<A>, call.packed ? 1 : blocks);
  plan.add(&run_correlate_tiles<A, T>, s.chunks());
  return true;
}

}  // namespace troupe::cpu
