#include "conv2d_correlation.hpp"
#include "conv2d_thin.hpp"
#include "conv2d_winograd.hpp"
#include "gemm.hpp"
#include "gemm_panel.hpp"
#include "pool_pairs.hpp"
#include "rooms.hpp"
#include "unsupported.hpp"
#include "wide.hpp"

#include <algorithm>
#include <optional>
#include <type_traits>

/// Convolution forward, and backward to the input, as one algorithm: a correlation of images,
/// computed as a product of the packed weights with panels of places that are made on the fly and
/// never leave the first-level cache; or without panels, where few rows of weights would read them.
///
/// Backward to the input is the correlation of dy, with zeros inserted between its elements where
/// the convolution had a stride, with the weights turned over. The zeros around and between take
/// part in sums as zeros: an infinite weight times padding is NaN, as the definition says.
namespace troupe::cpu {
namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// Bytes of a chunk's window of the source: most of a second-level cache is left to the weights,
/// and a worker's stack is not strained.
constexpr std::int64_t window_bytes = 48 * 1024;

/// How a correlation is cut: the depth (channels × taps) into blocks, images into strips of rows,
/// and strips of all images into chunks.
template <class T, class A>
struct Strips : Correlation<A> {
  /// Deeper than in products: with 3×3 taps, 32 channels are one block.
  static constexpr std::int64_t depth_max = 320;
  static constexpr std::int64_t width = Tile<T, A>::columns;
  static constexpr std::int64_t window_max = window_bytes / sizeof(T);
  /// Elements of the panels that are made before they are used: one of full depth, or several
  /// shallow ones, so that a tile writes long rows.
  static constexpr std::int64_t panels_max =
      std::max<std::int64_t>(depth_max * width, 28 * 1024 / sizeof(T));

  static constexpr std::size_t pooled_bytes_max = 512 * 1024;
  /// The depth of a 3×3 kernel of one channel, where there are registers for panels so deep.
  static constexpr std::int64_t shallow_depth = sizeof(Vec<T, A>) == 64 ? 9 : -1;

  Strips(const KernelCall& call, const Plan& plan) noexcept
      : Correlation<A>(Correlation<A>::of(call, static_cast<CorrelationKind>(plan.numbers[0]))),
        tiles(RowTiles<A>::cut(this->rows, Tile<T, A>::rows)),
        blocks(plan.numbers[1]),
        strip_rows(plan.numbers[2]),
        strips(plan.numbers[3]),
        chunk_strips(plan.numbers[4]),
        chunk_tiles(plan.numbers[5]),
        rooms(plan.numbers[7]),
        windowed(plan.numbers[6] != 0),
        shallow(windowed && this->depth() == shallow_depth),
        flat(windowed && FlatPlaces<T, A>::fits(this->y, this->x)),
        thin(flat && !shallow && std::is_same_v<T, float> && this->rows <= thin_rows_max) {}

  /// Cuts by shape.
  Strips(const Correlation<A>& correlation, CorrelationKind kind, Plan& plan) noexcept
      : Correlation<A>(correlation),
        tiles(RowTiles<A>::cut(this->rows, Tile<T, A>::rows)),
        flat(FlatPlaces<T, A>::fits(this->y, this->x)) {
    cut_depth();
    strips = ceil_div(this->y.dest, strip_rows);
    strip_rows = ceil_div(this->y.dest, strips);
    const double strip_flops = 2.0 * this->rows * this->depth() * strip_rows * this->x.dest;
    const double target = 2 * chunk_flops<A>(strip_flops * strips * this->images * this->groups);
    chunk_strips =
        std::clamp<std::int64_t>(target / std::max(strip_flops, 1.0), 1, strips * this->images);
    // Many rows of weights are cut too, for each chunk makes its panels anew and must use them
    // well.
    const std::int64_t row_blocks =
        std::clamp<std::int64_t>(strip_flops / (2 * target), 1, ceil_div(this->rows, 128));
    chunk_tiles = ceil_div(tiles.count, row_blocks);
    rooms = Room<A>::count(this->groups * this->row_blocks() * unit_chunks(), room_bytes());
    plan.numbers = {
        static_cast<std::int64_t>(kind),
        blocks,
        strip_rows,
        strips,
        chunk_strips,
        chunk_tiles,
        windowed,
        rooms};
  }

  /// First k of a block; whole channels where a channel's taps fit into one.
  [[nodiscard]] std::int64_t block_begin(std::int64_t block) const noexcept {
    if (this->taps() > depth_max) return block * this->depth() / blocks;
    return block * this->channels / blocks * this->taps();
  }
  [[nodiscard]] std::int64_t row_blocks() const noexcept {
    return ceil_div(tiles.count, chunk_tiles);
  }
  /// Columns of a chunk's window, and the column of v that is its first.
  [[nodiscard]] std::int64_t window_width() const noexcept {
    return flat ? this->x.source : reach<A>(this->x, this->x.dest);
  }
  [[nodiscard]] std::int64_t window_left() const noexcept { return flat ? 0 : -this->x.padding; }
  [[nodiscard]] std::int64_t unit_chunks() const noexcept {
    return ceil_div(strips * this->images, chunk_strips);
  }
  [[nodiscard]] std::int64_t packed_size() const noexcept {
    constexpr std::int64_t line = 64 / sizeof(T);
    return ceil_div(this->rows * this->depth(), line) * line;
  }

  /// Bytes of a strip's results that are pooled while they are in a cache.
  [[nodiscard]] std::size_t room_bytes() const noexcept {
    constexpr std::int64_t line = 64 / sizeof(T);
    return static_cast<std::size_t>(ceil_div(this->rows * strip_places(), line) * line) * sizeof(T);
  }
  [[nodiscard]] std::int64_t strip_places() const noexcept { return strip_rows * this->x.dest; }
  /// Whether strips hold whole windows of a pooling, of rows that are long enough, and rooms for
  /// them stay in a second-level cache.
  [[nodiscard]] bool can_pool() const noexcept {
    return (strips == 1 || strip_rows % 2 == 0) && this->y.dest > 1 && this->x.dest > 3 &&
           room_bytes() <= pooled_bytes_max;
  }

  RowTiles<A> tiles;
  std::int64_t blocks = 1;
  std::int64_t strip_rows = 1;    ///< of the result, in a strip; the last may have fewer
  std::int64_t strips = 1;        ///< in an image
  std::int64_t chunk_strips = 1;  ///< in a chunk, perhaps of several images
  std::int64_t chunk_tiles = 1;
  std::int64_t rooms = 0;
  bool windowed = false;  ///< chunks copy windows of the source; else panels are gathered from it
  bool shallow = false;   ///< panels are kept in registers while rows go by
  bool flat = false;      ///< windows are as wide as the source, without padding at the sides
  bool thin = false;      ///< no panels are made

 private:
  void cut_depth() noexcept {
    const std::int64_t taps = std::max<std::int64_t>(this->taps(), 1);
    if (taps > depth_max) {
      blocks = ceil_div(std::max<std::int64_t>(this->depth(), 1), depth_max);
      windowed = false;
      strip_rows = std::clamp<std::int64_t>(8 * width / this->x.dest, 1, this->y.dest);
      return;
    }
    blocks = ceil_div(std::max<std::int64_t>(this->channels, 1), depth_max / taps);
    const std::int64_t wanted = std::min(this->y.dest, ceil_div(4 * width, this->x.dest));
    for (;; ++blocks) {
      const std::int64_t block_channels = ceil_div(this->channels, blocks);
      const std::int64_t row = std::max<std::int64_t>(block_channels, 1) * window_width();
      std::int64_t fit = window_max / row - reach<A>(this->y, 1);
      fit = fit < 0 ? 0 : fit / this->y.step + 1;
      strip_rows = std::min(fit, this->y.dest);
      windowed = strip_rows > 0;
      if (strip_rows >= wanted || block_channels <= 1) break;
    }
    if (!windowed) strip_rows = 1;
  }
};

/// Tiles of weights that one chunk of the packing phase packs.
template <class T, class A>
std::int64_t pack_tiles(const Strips<T, A>& s) noexcept {
  const std::int64_t tile = std::max<std::int64_t>(s.depth() * Tile<T, A>::rows, 1);
  return std::clamp<std::int64_t>(16 * 1024 / tile, 1, s.groups * s.tiles.count);
}

/// Whether a call's bias is copied before it is read.
bool copies_bias(const KernelCall& call) noexcept {
  return call.in_count > 2 && call.in[2].strides[0] != 1;
}

/// Where the weights are once they are packed.
template <class T>
const T* packed_weights(const KernelCall& call, const std::byte* scratch) noexcept {
  return reinterpret_cast<const T*>(call.packed ? call.packed : scratch);
}

/// Where a bias is copied to, behind the weights.
template <class T, class A>
T* bias_copy(const KernelCall& call, const Strips<T, A>& s, std::byte* scratch) noexcept {
  return reinterpret_cast<T*>(scratch) + (call.packed ? 0 : s.packed_size() * s.groups);
}

template <class T, class A>
void run_copy_bias(const KernelCall& call, const Plan& plan, std::uint32_t, std::byte* scratch) {
  const Strips<T, A> s(call, plan);
  const View& bias = call.in[2];
  T* const to = bias_copy<T, A>(call, s, scratch);
  for (std::int64_t i = 0; i < s.rows * s.groups; ++i)
    to[i] = bias.as<const T>()[i * bias.strides[0]];
}

/// Packs the weights as [group][block][tile][k][row], shallow ones as [group][row][k].
template <class T, class A>
void run_pack_weights(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Strips<T, A> s(call, plan);
  if (chunk == 0 && copies_bias(call) && !call.packs)
    run_copy_bias<T, A>(call, plan, chunk, scratch);
  const std::int64_t count = pack_tiles(s);
  const std::int64_t end = std::min((chunk + 1) * count, s.groups * s.tiles.count);
  for (std::int64_t i = chunk * count; i < end; ++i) {
    const std::int64_t group = i / s.tiles.count;
    const std::int64_t row = s.tiles.begin(i % s.tiles.count);
    const std::int64_t rows = s.tiles.begin(i % s.tiles.count + 1) - row;
    const T* const from =
        call.in[1].as<const T>() + s.weight_start + group * s.weight_group + row * s.weight_row;
    T* const to = reinterpret_cast<T*>(scratch) + group * s.packed_size();
    for (std::int64_t block = 0; block < s.blocks; ++block) {
      const std::int64_t k0 = s.block_begin(block);
      const std::int64_t k1 = s.block_begin(block + 1);
      T* at = to + k0 * s.rows + row * (k1 - k0);
      for (std::int64_t k = k0; k < k1; ++k) {
        const std::int64_t tap = k % s.taps();
        const T* const weight = from + k / s.taps() * s.weight_channel +
                                tap / s.x.taps * s.weight_y + tap % s.x.taps * s.weight_x;
        if (s.shallow)
          for (std::int64_t r = 0; r < rows; ++r) at[r * s.depth() + k] = weight[r * s.weight_row];
        else
          for (std::int64_t r = 0; r < rows; ++r) *at++ = weight[r * s.weight_row];
      }
    }
  }
}

/// Rows [k][place] of a panel for windows that do not fit anywhere: each element is looked up.
template <class T, class A>
[[gnu::noinline]] void gather_panel(
    const Strips<T, A>& s,
    const Plane<T>& plane,
    std::int64_t channel_step,
    std::int64_t top_place,
    std::int64_t first,
    std::int64_t count,
    std::int64_t k0,
    std::int64_t k1,
    T* to) noexcept {
  for (std::int64_t k = k0; k < k1; ++k) {
    const std::int64_t tap = k % s.taps();
    const T* const channel = plane.data + k / s.taps() * channel_step;
    for (std::int64_t j = 0; j < s.width; ++j) {
      const std::int64_t place = first + std::min(j, count - 1);
      const std::int64_t y =
          (top_place + place / s.x.dest) * s.y.step + tap / s.x.taps * s.y.dilation - s.y.padding;
      const std::int64_t x =
          place % s.x.dest * s.x.step + tap % s.x.taps * s.x.dilation - s.x.padding;
      const bool inside = y >= 0 && x >= 0 && y % s.y.insert == 0 && x % s.x.insert == 0 &&
                          y / s.y.insert < s.y.source && x / s.x.insert < s.x.source;
      *to++ = inside ? channel[y / s.y.insert * plane.row + x / s.x.insert * plane.column] : T(0);
    }
  }
}

/// Copies the windows of a block's channels, one behind the other, with numbers behind the last.
template <class T, class A>
void copy_windows(
    const Strips<T, A>& s,
    Plane<T> plane,
    std::int64_t channel_step,
    std::int64_t top,
    std::int64_t rows,
    std::int64_t k0,
    std::int64_t k,
    T* window) noexcept {
  const std::int64_t taps = std::max<std::int64_t>(s.taps(), 1);
  const std::int64_t window_rows = reach<A>(s.y, rows);
  const std::int64_t columns = s.window_width();
  const std::int64_t first = top * s.y.step - s.y.padding;
  plane.data += k0 / taps * channel_step;
  for (std::int64_t c = 0; c < k / taps; ++c, plane.data += channel_step) {
    if (s.flat && plane.column == 1 && plane.row == columns) {
      const std::int64_t begin = std::clamp<std::int64_t>(-first, 0, window_rows);
      const std::int64_t end = std::clamp<std::int64_t>(s.y.source - first, begin, window_rows);
      std::fill_n(window, begin * columns, T(0));
      copy_row<T, A>(
          plane.data + (first + begin) * columns,
          (end - begin) * columns,
          window + begin * columns);
      std::fill_n(window + end * columns, (window_rows - end) * columns, T(0));
    } else {
      copy_window<T, A>(plane, s.y, s.x, first, s.window_left(), window_rows, columns, window);
    }
    window += window_rows * columns;
  }
  std::fill_n(window, 2 * Strips<T, A>::width, T(0));
}

// The packing functions are kept apart: inlined into the chunk's loop, their few pointers end up in
// memory.

/// Packs the panel of the places from `first` on, from flat windows.
template <class T, class A>
[[gnu::noinline]] void pack_flat(
    const Strips<T, A>& s,
    const T* window,
    std::int64_t rows,
    std::int64_t first,
    std::int64_t k,
    T* to) noexcept {
  const FlatPlaces<T, A> at(first, s.x);
  const std::int64_t size = reach<A>(s.y, rows) * s.x.source;
  const std::int64_t taps = s.y.taps * s.x.taps * s.width;
  const T* channel = window + first - s.x.padding;
  for (const T* const end = to + k * s.width; to < end; channel += size, to += taps)
    at.pack_channel(channel, s.y, s.x, to);
}

/// Packs the panel of the places from `first` on, from padded windows.
template <class T, class A>
[[gnu::noinline]] void pack_windowed(
    const Strips<T, A>& s,
    const T* window,
    std::int64_t rows,
    std::int64_t first,
    std::int64_t count,
    std::int64_t k,
    T* to) noexcept {
  const std::int64_t columns = s.window_width();
  const PanelPlaces<T, A> at(first, count, s.x.dest, s.y.step, s.x.step, columns);
  const std::int64_t size = reach<A>(s.y, rows) * columns;
  for (const T* const end = to + k * s.width; to < end; window += size)
    for (std::int64_t down = 0; down < s.y.taps; ++down) {
      const T* from = window + down * s.y.dilation * columns;
      for (std::int64_t across = 0; across < s.x.taps;
           ++across, from += s.x.dilation, to += s.width)
        at.pack(from, to);
    }
}

/// Rows of weights, nine deep, times a panel that is kept in registers: `load(k, v)` gives its
/// vectors. An element's bits are those that a tile gives: a chain of FMAs from 0 in rising order.
template <class T, class A, class Load>
void multiply_shallow(
    const Load& load,
    const T* weights,
    std::int64_t rows,
    const T* bias,
    std::int64_t count,
    T* to,
    std::int64_t to_row) noexcept {
  using Register = Vec<T, A>;
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  constexpr std::int64_t width = Tile<T, A>::columns;
  constexpr int depth = 9;
  Register right[depth][2];
#pragma GCC unroll 9
  for (int k = 0; k < depth; ++k)
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) right[k][v] = load(k, v);
  alignas(64) T edge[width];
  for (std::int64_t r = 0; r < rows; ++r, weights += depth, to += to_row) {
    Register sum[2] = {Register(T(0)), Register(T(0))};
#pragma GCC unroll 9
    for (int k = 0; k < depth; ++k) {
      const Register left(weights[k]);
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) sum[v] = fused_multiply_add<T, A>(left, right[k][v], sum[v]);
    }
    if (bias) {
      const Register add(bias[r]);
      sum[0] = sum[0] + add;
      sum[1] = sum[1] + add;
    }
    if (count == width) {
      // The lines of the next panel: a store whose line is not there holds up all that follow.
      __builtin_prefetch(to + width, 1);
      __builtin_prefetch(to + width + lanes, 1);
      sum[0].store_unaligned(to);
      sum[1].store_unaligned(to + lanes);
    } else {
      sum[0].store_aligned(edge);
      sum[1].store_aligned(edge + lanes);
      write_row<T, A>(edge, count, to);
    }
  }
}

/// All panels of a strip of `rows` rows, for some tiles of rows of weights.
template <class T, class A>
[[gnu::noinline]] void multiply_shallow_panels(
    const Strips<T, A>& s,
    const T* window,
    std::int64_t rows,
    const T* weights,
    const T* bias,
    std::int64_t first_tile,
    std::int64_t end_tile,
    T* result,
    std::int64_t result_row) noexcept {
  using Register = Vec<T, A>;
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  constexpr std::int64_t width = Tile<T, A>::columns;
  const std::int64_t places = rows * s.x.dest;
  const std::int64_t row = s.tiles.begin(first_tile);
  const std::int64_t end_row = s.tiles.begin(end_tile);
  alignas(64) T panel[9 * width];
  for (std::int64_t first = 0; first < places; first += width) {
    const std::int64_t count = std::min(width, places - first);
    const auto multiply = [&](const auto& load) {
      multiply_shallow<T, A>(
          load,
          weights + row * 9,
          end_row - row,
          bias ? bias + row : nullptr,
          count,
          result + row * result_row + first,
          result_row);
    };
    if (s.flat && s.x.taps == 3) {
      const FlatPlaces<T, A> at(first, s.x);
      const T* const from = window + first - s.x.padding;
      const std::int64_t down = s.y.dilation * s.x.source;
      multiply([&](int k, int v) {
        return at.load(from + k / 3 * down + k % 3 * s.x.dilation + v * lanes, k % 3, v);
      });
    } else {
      if (s.flat)
        pack_flat<T, A>(s, window, rows, first, 9, panel);
      else
        pack_windowed<T, A>(s, window, rows, first, count, 9, panel);
      multiply([&](int k, int v) { return Register::load_aligned(panel + k * width + v * lanes); });
    }
  }
}

/// Calls the segment for a strip of some channels, all of whose sums are complete.
template <class T, class A>
void go_on(
    const Strips<T, A>& s,
    const KernelCall& call,
    std::int64_t first_plane,
    std::int64_t planes,
    std::int64_t top,
    std::int64_t rows) noexcept {
  const std::int64_t at = first_plane * s.places() + top * s.x.dest;
  if (rows == s.y.dest) return call.run_segment(*call.segment, at, at + planes * s.places());
  for (std::int64_t p = 0; p < planes; ++p)
    call.run_segment(*call.segment, at + p * s.places(), at + p * s.places() + rows * s.x.dest);
}

/// Where in the scratch rooms begin: behind the weights and the bias.
template <class T, class A>
std::size_t rooms_at(const KernelCall& call, const Strips<T, A>& s) noexcept {
  const std::int64_t bias = copies_bias(call) ? s.rows * s.groups : 0;
  const std::int64_t elements = (call.packed ? 0 : s.packed_size() * s.groups) + bias;
  constexpr std::int64_t line = 64 / sizeof(T);
  return static_cast<std::size_t>(ceil_div(elements, line) * line) * sizeof(T);
}

/// Makes the rooms free. A phase of its own, for chunks of the next may run before its first.
template <class T, class A>
void run_open(const KernelCall& call, const Plan& plan, std::uint32_t, std::byte* scratch) {
  Room<A>::open(scratch + rooms_at(call, Strips<T, A>(call, plan)));
}

/// Pools a strip of some channels, which lies at `from`.
template <class T, class A>
void pool_strip(
    const Strips<T, A>& s,
    const KernelCall& call,
    const T* from,
    std::int64_t first_plane,
    std::int64_t planes,
    std::int64_t top,
    std::int64_t rows) noexcept {
  const Shape& shape = call.out[1].shape;
  for (std::int64_t p = 0; p < planes; ++p, from += s.strip_places()) {
    const std::int64_t to = ((first_plane + p) * shape[2] + top / 2) * shape[3];
    pool_rows<T, A>(
        from,
        s.x.dest,
        rows / 2,
        call.pools_with_relu,
        call.out[1].as<T>() + to,
        call.out_count > 2 ? call.out[2].as<std::uint8_t>() + to : nullptr);
  }
}

/// Computes strips of images for some of a group's channels.
template <class T, class A>
void run_correlate(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  constexpr std::int64_t width = Tile<T, A>::columns;
  const Strips<T, A> s(call, plan);
  const View& source = call.in[0];
  const std::int64_t per_group = s.row_blocks() * s.unit_chunks();
  const std::int64_t group = chunk / per_group;
  const std::int64_t row_block = chunk % per_group / s.unit_chunks();
  const std::int64_t first_unit = chunk % s.unit_chunks() * s.chunk_strips;
  const std::int64_t end_unit = std::min(first_unit + s.chunk_strips, s.strips * s.images);
  const std::int64_t first_tile = row_block * s.chunk_tiles;
  const std::int64_t end_tile = std::min(first_tile + s.chunk_tiles, s.tiles.count);
  const T* const weights = packed_weights<T>(call, scratch) + group * s.packed_size();
  const T* const bias = copies_bias(call)   ? bias_copy<T, A>(call, s, scratch)
                        : call.in_count > 2 ? call.in[2].as<const T>()
                                            : nullptr;
  // Flat windows are read beside their ends; what is read there is masked off.
  alignas(64) T window_buffer[Strips<T, A>::window_max + 4 * width];
  T* const window = window_buffer + 2 * width;
  alignas(64) T panels[Strips<T, A>::panels_max];
  std::fill_n(window_buffer, 2 * width, T(0));
  std::optional<Room<A>> room;
  if (call.pools) room.emplace(scratch + rooms_at(call, s), s.rooms, s.room_bytes());
  const std::int64_t result_row = call.pools ? s.strip_places() : s.places();

  for (std::int64_t unit = first_unit; unit < end_unit; ++unit) {
    const std::int64_t image = unit / s.strips;
    const std::int64_t top = unit % s.strips * s.strip_rows;
    const std::int64_t rows = std::min(s.strip_rows, s.y.dest - top);
    const std::int64_t places = rows * s.x.dest;
    const Plane<T> plane{
        source.as<const T>() + image * source.strides[0] + group * s.channels * source.strides[1],
        source.strides[2],
        source.strides[3]};
    T* const result = room ? reinterpret_cast<T*>(room->data())
                           : call.out[0].as<T>() +
                                 (image * s.groups + group) * s.rows * s.places() + top * s.x.dest;
    for (std::int64_t block = 0; block < s.blocks; ++block) {
      const std::int64_t k0 = s.block_begin(block);
      const std::int64_t k = s.block_begin(block + 1) - k0;
      if (s.windowed) copy_windows<T, A>(s, plane, source.strides[1], top, rows, k0, k, window);
      TileCall<T> tile;
      tile.b = panels;
      tile.b_row = width;
      tile.k = k;
      tile.c_row = result_row;
      if (bias) tile.row_bias = bias + group * s.rows;
      const LeftRows<T> left{weights + k0 * s.rows, true};
      if (s.shallow) {
        multiply_shallow_panels<T, A>(
            s,
            window,
            rows,
            weights,
            bias ? bias + group * s.rows : nullptr,
            first_tile,
            end_tile,
            result,
            result_row);
        continue;
      }
      if constexpr (std::is_same_v<T, float>)
        if (s.thin) {
          ThinCall<T> strip;
          strip.window = window - s.x.padding;
          strip.window_size = reach<A>(s.y, rows) * s.x.source;
          strip.weights = weights + k0 * s.rows;
          strip.channels = k / s.taps();
          if (block + 1 == s.blocks) strip.bias = tile.row_bias;
          strip.first = block == 0;
          strip.to = result;
          strip.to_row = result_row;
          multiply_thin_strip<T, A>(strip, s.y, s.x, s.rows, rows);
          continue;
        }
      const std::int64_t step =
          std::max<std::int64_t>(s.panels_max / std::max<std::int64_t>(k * width, 1), 1) * width;
      for (std::int64_t first = 0; first < places; first += step) {
        const std::int64_t end = std::min(first + step, places);
        T* to = panels;
        for (std::int64_t at = first; at < end; at += width, to += k * width) {
          const std::int64_t count = std::min(width, end - at);
          if (s.flat)
            pack_flat<T, A>(s, window, rows, at, k, to);
          else if (s.windowed)
            pack_windowed<T, A>(s, window, rows, at, count, k, to);
          else
            gather_panel<T, A>(s, plane, source.strides[1], top, at, count, k0, k0 + k, to);
        }
        tile.c = result + first;
        multiply_panels<T, A>(
            tile,
            s.tiles,
            first_tile,
            end_tile,
            left,
            end - first,
            {block == 0, block + 1 == s.blocks, nullptr});
      }
    }
    const std::int64_t row = s.tiles.begin(first_tile);
    const std::int64_t first_plane = (image * s.groups + group) * s.rows + row;
    const std::int64_t planes = s.tiles.begin(end_tile) - row;
    if (call.pools)
      pool_strip<T, A>(s, call, result + row * result_row, first_plane, planes, top, rows);
    if (call.segment) go_on<T, A>(s, call, first_plane, planes, top, rows);
  }
}

template <class T, class A>
void plan_correlate(const KernelCall& call, CorrelationKind kind, Plan& plan) {
  const Correlation<A> correlation = Correlation<A>::of(call, kind);
  if (call.out[0].elements() == 0) return;
  const Strips<T, A> s(correlation, kind, plan);
  const std::int64_t weights = s.packed_size() * s.groups;
  const std::int64_t pack_chunks = ceil_div(s.groups * s.tiles.count, pack_tiles(s));
  if (call.packs) {
    plan.packed_bytes = plan.scratch_bytes = static_cast<std::size_t>(weights) * sizeof(T);
    plan.cost_ns = 100 + 1.0 * s.groups * s.rows * s.depth();
    plan.add(&run_pack_weights<T, A>, pack_chunks);
    return;
  }
  const std::int64_t bias = copies_bias(call) ? s.rows * s.groups : 0;
  plan.scratch_bytes = static_cast<std::size_t>((call.packed ? 0 : weights) + bias) * sizeof(T);
  plan.cost_ns = 100 + 2.0 * s.images * s.groups * s.rows * s.depth() * s.places() / flops_per_ns;
  plan.ends_with_segment = true;
  plan.pools = s.can_pool();
  if (call.pools) {
    plan.scratch_bytes = rooms_at(call, s) + Room<A>::head_bytes +
                         static_cast<std::size_t>(s.rooms) * s.room_bytes();
    plan.add(&run_open<T, A>, 1);
  }
  if (!call.packed)
    plan.add(&run_pack_weights<T, A>, pack_chunks);
  else if (copies_bias(call))
    plan.add(&run_copy_bias<T, A>, 1);
  plan.add(&run_correlate<T, A>, s.groups * s.row_blocks() * s.unit_chunks());
}

template <class A>
void plan_floating(
    const KernelCall& call, CorrelationKind kind, std::string_view name, Plan& plan) {
  switch (call.in[0].dtype) {
    case DType::float32:
      if (plan_winograd<A>(call, kind, plan)) return;
      return plan_correlate<float, A>(call, kind, plan);
    case DType::float64:
      return plan_correlate<double, A>(call, kind, plan);
    default:
      throw_unsupported(name, call.in[0].dtype);
  }
}

}  // namespace

template <>
void Kernel<Conv2d, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (!is_computable(call.in[0].dtype))
    return plan_wide<Arch>(call, plan, &Kernel<Conv2d, Arch>::plan);
  plan_floating<Arch>(call, CorrelationKind::forward, "conv2d", plan);
}

template <>
void Kernel<Conv2dBackwardInput, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (!is_computable(call.in[0].dtype))
    return plan_wide<Arch>(call, plan, &Kernel<Conv2dBackwardInput, Arch>::plan);
  plan_floating<Arch>(call, CorrelationKind::backward_input, "conv2d_backward_input", plan);
}

}  // namespace troupe::cpu
