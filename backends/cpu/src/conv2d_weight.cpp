#include "conv2d_patch.hpp"
#include "conv2d_winograd.hpp"
#include "gemm.hpp"
#include "gemm_panel.hpp"
#include "unsupported.hpp"
#include "wide.hpp"

#include <troupe/tensor/ops/conv2d.hpp>

#include <algorithm>

/// Convolution backward to the weight: dw[o, c, tap] = Σ dy[o, place]·x[c, place under tap], over
/// all places of all images.
///
/// The sum is cut into slices of images, their number given by the shape; each slice adds up its
/// own dw in scratch, and a second phase adds the slices in order. Within a slice there are two
/// ways:
///
/// - Outer products. A window of x is turned so that its channels lie side by side; then each tap's
///   product dy · xᵀ reads vectors of channels straight from the window, and nothing is packed.
/// - Dot products, where the channels do not fill a vector (the first layer, depthwise): vectors
/// run
///   along places, and each sum is kept as a vector until the second phase.
namespace troupe::cpu {
namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// How the sum is cut.
template <class T, class A>
struct Slices {
  static constexpr std::int64_t width = Tile<T, A>::columns;
  static constexpr std::int64_t lanes = Tile<T, A>::lanes;
  static constexpr std::int64_t window_max = 48 * 1024 / sizeof(T);
  /// Elements of the panels that dot products read, and dot products' most columns.
  static constexpr std::int64_t panels_max = 32 * 1024 / sizeof(T);
  static constexpr std::int64_t dot_columns_max = panels_max / width;
  /// Rows and columns of dw that dot products compute together: with 32 registers, the taps of a
  /// 3×3 kernel in one go; three rows of those would leave none for what is read twice.
  static constexpr int dot_rows = sizeof(Vec<T, A>) == 64 ? 2 : 4;
  static constexpr int dot_columns = sizeof(Vec<T, A>) == 64 ? 9 : 3;

  enum class Way : std::int64_t { outer, outer_by_tap, dot };

  explicit Slices(const KernelCall& call) noexcept {
    const auto& op = call.op<Conv2dBackwardWeight>();
    const Shape& dy = call.in[0].shape;
    const Shape& input = call.in[1].shape;
    const Shape& weight = call.out[0].shape;
    images = input[0];
    groups = op.groups;
    rows = weight[0] / op.groups;
    channels = weight[1];
    y = {input[2], dy[2], weight[2], op.stride[0], 1, op.dilation[0], op.padding[0]};
    x = {input[3], dy[3], weight[3], op.stride[1], 1, op.dilation[1], op.padding[1]};
  }
  Slices(const KernelCall& call, const Plan& plan) noexcept : Slices(call) {
    way = static_cast<Way>(plan.numbers[0]);
    tile_rows = plan.numbers[1];
    tile_columns = plan.numbers[2];
    slices = plan.numbers[3];
  }

  /// Cuts by shape.
  void cut(Plan& plan) noexcept {
    way = channels < lanes && columns() <= dot_columns_max ? Way::dot : Way::outer;
    if (!fit_tiles() && way == Way::dot) {
      way = Way::outer;
      fit_tiles();
    }
    if (tile_rows == 0) {
      way = Way::outer_by_tap;
      tile_columns = ceil_div(x.dest, ceil_div(x.dest, 64));
      tile_rows = std::min(y.dest, window_max / width / tile_columns);
      tile_rows = ceil_div(y.dest, ceil_div(y.dest, tile_rows));
    }
    // Slices of some 80 µs, unless their sums would take more memory than they are worth.
    const double flops = 2.0 * images * groups * rows * columns() * y.dest * x.dest;
    const double wanted = flops / (2 * chunk_flops<A>(flops) * groups * channel_blocks());
    const double affordable = 16e6 / sizeof(T) / static_cast<double>(partial_size() * groups);
    slices = std::clamp<std::int64_t>(
        std::min(wanted, affordable), 1, std::max<std::int64_t>(units(), 1));
    plan.numbers = {static_cast<std::int64_t>(way), tile_rows, tile_columns, slices};
  }

  [[nodiscard]] std::int64_t taps() const noexcept { return y.taps * x.taps; }
  [[nodiscard]] std::int64_t columns() const noexcept { return channels * taps(); }
  [[nodiscard]] std::int64_t channel_blocks() const noexcept {
    return way == Way::dot ? 1 : ceil_div(channels, width);
  }
  [[nodiscard]] std::int64_t tiles_down() const noexcept { return ceil_div(y.dest, tile_rows); }
  [[nodiscard]] std::int64_t tiles_across() const noexcept {
    return ceil_div(x.dest, tile_columns);
  }
  /// Tiles of dy in all images: what is shared out among slices.
  [[nodiscard]] std::int64_t units() const noexcept {
    return images * tiles_down() * tiles_across();
  }
  /// Elements of one slice's sums for one group: [channel block][tap][row][channel], or
  /// [row][column][lane].
  [[nodiscard]] std::int64_t partial_size() const noexcept {
    return way == Way::dot ? rows * columns() * lanes : channel_blocks() * taps() * rows * width;
  }
  [[nodiscard]] T* partial(
      std::byte* scratch, std::int64_t slice, std::int64_t group) const noexcept {
    return reinterpret_cast<T*>(scratch) + (slice * groups + group) * partial_size();
  }

  std::int64_t images = 0;
  std::int64_t groups = 1;
  std::int64_t rows = 0;      ///< of dw in a group: channels of dy
  std::int64_t channels = 0;  ///< of x in a group
  Axis y;
  Axis x;
  Way way = Way::outer;
  std::int64_t tile_rows = 1;     ///< of dy that are done together
  std::int64_t tile_columns = 1;  ///< of dy
  std::int64_t slices = 1;

 private:
  /// The largest tile of dy whose window fits; whether there is one.
  bool fit_tiles() noexcept {
    const std::int64_t depth = way == Way::dot ? std::max<std::int64_t>(channels, 1) : width;
    const std::int64_t across = way == Way::dot ? x.dest : std::min<std::int64_t>(x.dest, 64);
    tile_columns = ceil_div(x.dest, ceil_div(x.dest, across));
    for (;;) {
      const std::int64_t row = depth * reach<A>(x, tile_columns);
      std::int64_t fit = window_max / row - reach<A>(y, 1);
      fit = fit < 0 ? 0 : fit / y.step + 1;
      if (way == Way::dot) {
        // Places are rounded up to whole panels.
        const std::int64_t places =
            panels_max / (std::max<std::int64_t>(columns(), 1) * width) * width;
        fit = std::min(fit, places / tile_columns);
      }
      tile_rows = std::min(fit, y.dest);
      if (tile_rows > 0) break;
      if (tile_columns == 1) return false;
      tile_columns = ceil_div(tile_columns, 2);
    }
    tile_rows = ceil_div(y.dest, ceil_div(y.dest, tile_rows));
    return true;
  }
};

/// A tile of dy: where it starts and what of it exists.
struct Unit {
  std::int64_t image;
  std::int64_t top;
  std::int64_t left;
  std::int64_t rows;
  std::int64_t columns;
};

template <class T, class A>
Unit unit_at(const Slices<T, A>& s, std::int64_t unit) noexcept {
  const std::int64_t per_image = s.tiles_down() * s.tiles_across();
  const std::int64_t top = unit % per_image / s.tiles_across() * s.tile_rows;
  const std::int64_t left = unit % s.tiles_across() * s.tile_columns;
  return {
      unit / per_image,
      top,
      left,
      std::min(s.tile_rows, s.y.dest - top),
      std::min(s.tile_columns, s.x.dest - left)};
}

/// Copies a window of some channels, turned: to[row][column][channel], a panel's width of channels,
/// zeros where x has nothing.
template <class T, class A>
void copy_turned(
    const Slices<T, A>& s,
    const Plane<T>& plane,
    std::int64_t channel_step,
    std::int64_t channels,
    std::int64_t top,
    std::int64_t left,
    std::int64_t rows,
    std::int64_t columns,
    T* to) noexcept {
  constexpr std::int64_t width = Slices<T, A>::width;
  const std::int64_t begin = std::clamp<std::int64_t>(-left, 0, columns);
  const std::int64_t end = std::clamp<std::int64_t>(s.x.source - left, begin, columns);
  for (std::int64_t r = 0; r < rows; ++r, to += columns * width) {
    const std::int64_t y = top + r;
    if (y < 0 || y >= s.y.source) {
      std::fill_n(to, columns * width, T(0));
      continue;
    }
    std::fill_n(to, begin * width, T(0));
    turn_row<T, A>(
        plane.data + y * plane.row + (left + begin) * plane.column,
        channel_step,
        plane.column,
        channels,
        end - begin,
        to + begin * width);
    std::fill_n(to + end * width, (columns - end) * width, T(0));
  }
}

/// Adds a slice's outer products for one block of channels.
template <class T, class A>
void run_outer(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using S = Slices<T, A>;
  constexpr std::int64_t width = S::width;
  const S s(call, plan);
  const std::int64_t block = chunk % s.channel_blocks();
  const std::int64_t group = chunk / s.channel_blocks() % s.groups;
  const std::int64_t slice = chunk / s.channel_blocks() / s.groups;
  const std::int64_t channels = std::min(width, s.channels - block * width);
  const std::int64_t first = slice * s.units() / s.slices;
  const std::int64_t end = (slice + 1) * s.units() / s.slices;
  const View& dy = call.in[0];
  const View& input = call.in[1];
  const auto tiles = RowTiles<A>::cut(s.rows, Tile<T, A>::rows);
  const bool by_tap = s.way == S::Way::outer_by_tap;
  T* const sums = s.partial(scratch, slice, group) + block * s.taps() * s.rows * width;
  if (first == end) std::fill_n(sums, s.taps() * s.rows * width, T(0));

  alignas(64) T window[S::window_max];
  for (std::int64_t i = first; i < end; ++i) {
    const Unit unit = unit_at(s, i);
    const Plane<T> plane{
        input.as<const T>() + unit.image * input.strides[0] +
            (group * s.channels + block * width) * input.strides[1],
        input.strides[2],
        input.strides[3]};
    const std::int64_t top = unit.top * s.y.step - s.y.padding;
    const std::int64_t left = unit.left * s.x.step - s.x.padding;
    const std::int64_t window_columns =
        by_tap ? (unit.columns - 1) * s.x.step + 1 : reach<A>(s.x, unit.columns);
    if (!by_tap)
      copy_turned(
          s,
          plane,
          input.strides[1],
          channels,
          top,
          left,
          reach<A>(s.y, unit.rows),
          window_columns,
          window);

    TileCall<T> tile;
    tile.a_row = dy.strides[1];
    tile.a_k = dy.strides[3];
    tile.c_row = width;
    const LeftRows<T> left_rows{
        dy.as<const T>() + unit.image * dy.strides[0] + group * s.rows * dy.strides[1] +
            unit.top * dy.strides[2] + unit.left * dy.strides[3],
        false};
    for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
      const std::int64_t down = tap / s.x.taps * s.y.dilation;
      const std::int64_t across = tap % s.x.taps * s.x.dilation;
      tile.c = sums + tap * s.rows * width;
      if (!by_tap) {
        tile.b = window + (down * window_columns + across) * width;
        tile.b_row = s.x.step * width;
        tile.k = unit.columns;
        tile.repeats = unit.rows;
        tile.b_skip = (s.y.step * window_columns - s.x.step * unit.columns) * width;
        tile.a_skip = dy.strides[2] - unit.columns * dy.strides[3];
      } else {
        // One place at a time: slow, and only for kernels so large that no window holds them.
        T* to = window;
        for (std::int64_t r = 0; r < unit.rows; ++r)
          for (std::int64_t c = 0; c < unit.columns; ++c, to += width) {
            const std::int64_t y = top + r * s.y.step + down;
            const std::int64_t x = left + c * s.x.step + across;
            const bool inside = y >= 0 && x >= 0 && y < s.y.source && x < s.x.source;
            for (std::int64_t j = 0; j < width; ++j)
              to[j] = inside && j < channels
                          ? plane.data[j * input.strides[1] + y * plane.row + x * plane.column]
                          : T(0);
          }
        tile.b = window;
        tile.b_row = width;
        tile.k = unit.columns;
        tile.repeats = unit.rows;
        tile.a_skip = dy.strides[2] - unit.columns * dy.strides[3];
      }
      // The sums have room for the panel's full width.
      multiply_panels<T, A>(
          tile,
          tiles,
          0,
          tiles.count,
          left_rows,
          channels > S::lanes ? width : S::lanes,
          {i == first, true, nullptr});
    }
  }
}

/// R rows of dy against J columns of the panels, over `vectors` vectors of places, which need not
/// fill the last panel: R·J sums kept as vectors.
template <class T, class A, int R, int J>
void dot_tile(
    const T* dy,
    std::int64_t dy_row,
    const T* panel,
    std::int64_t panel_size,
    std::int64_t vectors,
    T* sums,
    std::int64_t sums_row) noexcept {
  using Register = Vec<T, A>;
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  constexpr std::int64_t width = Tile<T, A>::columns;
  Register sum[R][J];
#pragma GCC unroll 4
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 9
    for (int j = 0; j < J; ++j)
      sum[i][j] = Register::load_unaligned(sums + i * sums_row + j * lanes);
  const auto add = [&](const T* dy, const T* panel) __attribute__((always_inline)) {
    Register left[R];
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
      left[i] = Register::load_unaligned(dy + i * dy_row);
      // The next rows of dy: the only operand that comes from far away.
      __builtin_prefetch(dy + (R + i) * dy_row);
    }
#pragma GCC unroll 9
    for (int j = 0; j < J; ++j) {
      typename Register::register_type right = Register::load_unaligned(panel + j * width);
      // Or the compiler has each FMA read it again, and loads would be what there are most of.
      asm("" : "+v"(right));
#pragma GCC unroll 4
      for (int i = 0; i < R; ++i)
        sum[i][j] = fused_multiply_add<T, A>(left[i], Register(right), sum[i][j]);
    }
  };
  for (; vectors >= 2; vectors -= 2, dy += width, panel += panel_size) {
    add(dy, panel);
    add(dy + lanes, panel + lanes);
  }
  if (vectors > 0) add(dy, panel);
#pragma GCC unroll 4
  for (int i = 0; i < R; ++i)
#pragma GCC unroll 9
    for (int j = 0; j < J; ++j) sum[i][j].store_unaligned(sums + i * sums_row + j * lanes);
}

/// `rows` rows of dy (at most `dot_rows`) against all columns.
template <class T, class A>
void dot_row_tile(
    std::int64_t rows,
    std::int64_t columns,
    const T* dy,
    std::int64_t dy_row,
    const T* panel,
    std::int64_t vectors,
    T* sums) noexcept {
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  constexpr std::int64_t width = Tile<T, A>::columns;
  constexpr int R = Slices<T, A>::dot_rows;
  constexpr int J = Slices<T, A>::dot_columns;
  const std::int64_t panel_size = columns * width;
  const std::int64_t sums_row = columns * lanes;
  const std::int64_t whole = columns / J * J;
  const bool all = rows == R;
  const auto tile = all ? &dot_tile<T, A, R, J> : &dot_tile<T, A, 1, J>;
  const auto rest = all ? &dot_tile<T, A, R, 1> : &dot_tile<T, A, 1, 1>;
  for (std::int64_t i = 0; i < rows; i += all ? R : 1) {
    const T* const from = dy + i * dy_row;
    T* const to = sums + i * sums_row;
    for (std::int64_t j = 0; j < whole; j += J)
      tile(from, dy_row, panel + j * width, panel_size, vectors, to + j * lanes, sums_row);
    for (std::int64_t j = whole; j < columns; ++j)
      rest(from, dy_row, panel + j * width, panel_size, vectors, to + j * lanes, sums_row);
  }
}

/// Copies rows of a tile of dy to `to`, dense, zeros up to a whole panel.
template <class T, class A>
void copy_places(
    const View& dy,
    const T* from,
    std::int64_t rows,
    std::int64_t first,
    std::int64_t end,
    std::int64_t tile_columns,
    T* to,
    std::int64_t to_row) noexcept {
  const bool dense = dy.strides[3] == 1 && dy.strides[2] == tile_columns;
  for (std::int64_t i = 0; i < rows; ++i) {
    const T* const row = from + i * dy.strides[1];
    if (dense)
      copy_row<T, A>(row + first, end - first, to + i * to_row);
    else
      for (std::int64_t p = first; p < end; ++p)
        to[i * to_row + p - first] =
            row[p / tile_columns * dy.strides[2] + p % tile_columns * dy.strides[3]];
    std::fill(to + i * to_row + end - first, to + (i + 1) * to_row, T(0));
  }
}

/// Packs the panel of the places from `first` on, a row for each channel and tap, from flat
/// windows.
template <class T, class A>
[[gnu::noinline]] void pack_flat(
    const Slices<T, A>& s, const T* window, std::int64_t window_size, std::int64_t first, T* to) {
  const FlatPlaces<T, A> at(first, s.x);
  const T* channel = window + first - s.x.padding;
  for (std::int64_t c = 0; c < s.channels; ++c, channel += window_size)
    at.pack_channel(channel, s.y, s.x, to + c * s.y.taps * s.x.taps * s.width);
}

/// The same from padded windows.
template <class T, class A>
[[gnu::noinline]] void pack_places(
    const Slices<T, A>& s,
    const T* window,
    std::int64_t window_size,
    std::int64_t window_columns,
    std::int64_t tile_columns,
    std::int64_t first,
    std::int64_t exist,
    T* to) {
  const PanelPlaces<T, A> at(first, exist, tile_columns, s.y.step, s.x.step, window_columns);
  for (std::int64_t c = 0; c < s.channels; ++c)
    for (std::int64_t ty = 0; ty < s.y.taps; ++ty)
      for (std::int64_t tx = 0; tx < s.x.taps; ++tx, to += s.width)
        at.pack(
            window + c * window_size + ty * s.y.dilation * window_columns + tx * s.x.dilation, to);
}

/// Adds the dot products of a tile of dy, which begins at `from`, with panels of `count` places.
template <class T, class A>
void multiply_dot(
    const Slices<T, A>& s,
    const View& dy,
    const T* from,
    std::int64_t count,
    std::int64_t tile_columns,
    const T* panels,
    T* sums) {
  using S = Slices<T, A>;
  constexpr std::int64_t width = S::width;
  constexpr std::int64_t most = S::panels_max / 4 / width * width;
  alignas(64) T places[S::dot_rows * most];
  const std::int64_t columns = s.columns();
  // dy is read where it lies, as far as whole vectors go in it; the rest is copied and padded.
  const bool dense = dy.strides[3] == 1 && dy.strides[2] == tile_columns;
  const std::int64_t direct = dense ? count / S::lanes * S::lanes : 0;
  // Panels of a block stay in the first-level cache while all rows of dy go by.
  const std::int64_t block =
      std::max<std::int64_t>(S::panels_max / 2 / (columns * width), 1) * width;
  for (std::int64_t first = 0; first < direct; first += block)
    for (std::int64_t row = 0; row < s.rows; row += S::dot_rows)
      dot_row_tile<T, A>(
          std::min<std::int64_t>(S::dot_rows, s.rows - row),
          columns,
          from + row * dy.strides[1] + first,
          dy.strides[1],
          panels + first * columns,
          std::min(block, direct - first) / S::lanes,
          sums + row * columns * S::lanes);
  // What is copied begins with a panel, or is less than a vector.
  for (std::int64_t first = direct; first < count; first += most) {
    const std::int64_t end = std::min(first + most, count);
    const std::int64_t padded = ceil_div(end - first, S::lanes) * S::lanes;
    for (std::int64_t row = 0; row < s.rows; row += S::dot_rows) {
      const std::int64_t rows = std::min<std::int64_t>(S::dot_rows, s.rows - row);
      copy_places<T, A>(
          dy, from + row * dy.strides[1], rows, first, end, tile_columns, places, padded);
      dot_row_tile<T, A>(
          rows,
          columns,
          places,
          padded,
          panels + first / width * width * columns + first % width,
          padded / S::lanes,
          sums + row * columns * S::lanes);
    }
  }
}

/// Adds a slice's dot products for one group.
template <class T, class A>
void run_dot(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using S = Slices<T, A>;
  constexpr std::int64_t width = S::width;
  const S s(call, plan);
  const std::int64_t group = chunk % s.groups;
  const std::int64_t slice = chunk / s.groups;
  const std::int64_t columns = s.columns();
  const View& dy = call.in[0];
  const View& input = call.in[1];
  T* const sums = s.partial(scratch, slice, group);
  std::fill_n(sums, s.partial_size(), T(0));

  // Flat windows are read beside their ends; what is read there is masked off.
  alignas(64) T window_buffer[S::window_max + 4 * width];
  T* const window = window_buffer + 2 * width;
  std::fill_n(window_buffer, 2 * width, T(0));
  alignas(64) T panels[S::panels_max];
  for (std::int64_t i = slice * s.units() / s.slices; i < (slice + 1) * s.units() / s.slices; ++i) {
    const Unit unit = unit_at(s, i);
    const bool flat = unit.columns == s.x.dest && FlatPlaces<T, A>::fits(s.y, s.x);
    const std::int64_t window_rows = reach<A>(s.y, unit.rows);
    const std::int64_t window_columns = flat ? s.x.source : reach<A>(s.x, unit.columns);
    const std::int64_t window_size = window_rows * window_columns;
    for (std::int64_t c = 0; c < s.channels; ++c)
      copy_window<T, A>(
          {input.as<const T>() + unit.image * input.strides[0] +
               (group * s.channels + c) * input.strides[1],
           input.strides[2],
           input.strides[3]},
          s.y,
          s.x,
          unit.top * s.y.step - s.y.padding,
          flat ? 0 : unit.left * s.x.step - s.x.padding,
          window_rows,
          window_columns,
          window + c * window_size);
    std::fill_n(window + s.channels * window_size, 2 * width, T(0));

    const std::int64_t count = unit.rows * unit.columns;
    for (std::int64_t first = 0; first < count; first += width) {
      const std::int64_t exist = std::min(width, count - first);
      T* const to = panels + first * columns;
      if (flat)
        pack_flat(s, window, window_size, first, to);
      else
        pack_places(s, window, window_size, window_columns, unit.columns, first, exist, to);
      // Zero times whatever stands behind the last place might be NaN.
      if (exist < width)
        for (std::int64_t j = 0; j < columns; ++j)
          std::fill(to + j * width + exist, to + (j + 1) * width, T(0));
    }

    const T* const from = dy.as<const T>() + unit.image * dy.strides[0] +
                          group * s.rows * dy.strides[1] + unit.top * dy.strides[2] +
                          unit.left * dy.strides[3];
    multiply_dot<T, A>(s, dy, from, count, unit.columns, panels, sums);
  }
}

/// Rows of dw that one chunk of the second phase adds up.
template <class T, class A>
std::int64_t add_rows(const Slices<T, A>& s) noexcept {
  const std::int64_t row = s.partial_size() / std::max<std::int64_t>(s.rows, 1) * s.slices;
  return std::clamp<std::int64_t>(128 * 1024 / std::max<std::int64_t>(row, 1), 1, s.rows);
}

/// The sum of `N` elements, a power of 2: those of one half to those of the other, and so on.
template <class T, int N>
T add_halves(const T* from) noexcept {
  if constexpr (N == 1) {
    return *from;
  } else {
    using Half [[gnu::vector_size(N / 2 * sizeof(T))]] = T;
    Half low;
    Half high;
    std::memcpy(&low, from, sizeof low);
    std::memcpy(&high, from + N / 2, sizeof high);
    low += high;
    alignas(64) T sums[N / 2];
    std::memcpy(sums, &low, sizeof low);
    return add_halves<T, N / 2>(sums);
  }
}

/// Adds the slices in order and writes dw. Vectors of dot products are added lane by lane, by
/// halves.
template <class T, class A>
void run_add(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using S = Slices<T, A>;
  using Register = Vec<T, A>;
  constexpr std::int64_t width = S::width;
  constexpr std::int64_t lanes = S::lanes;
  const S s(call, plan);
  const std::int64_t count = add_rows(s);
  const std::int64_t chunks = ceil_div(s.rows, count);
  const std::int64_t group = chunk / chunks;
  const std::int64_t first = chunk % chunks * count;
  const std::int64_t columns = s.columns();
  const std::int64_t step = s.groups * s.partial_size();
  const T* const sums = s.partial(scratch, 0, group);
  const auto total = [&](const T* from) {
    Register sum = Register::load_unaligned(from);
    for (std::int64_t slice = 1; slice < s.slices; ++slice)
      sum = sum + Register::load_unaligned(from + slice * step);
    return sum;
  };
  alignas(64) T lane[width];
  for (std::int64_t row = first; row < std::min(first + count, s.rows); ++row) {
    T* const to = call.out[0].as<T>() + (group * s.rows + row) * columns;
    if (s.way == S::Way::dot) {
      for (std::int64_t j = 0; j < columns; ++j) {
        total(sums + (row * columns + j) * lanes).store_aligned(lane);
        to[j] = add_halves<T, lanes>(lane);
      }
      continue;
    }
    for (std::int64_t block = 0; block < s.channel_blocks(); ++block)
      for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
        const T* const from = sums + ((block * s.taps() + tap) * s.rows + row) * width;
        const std::int64_t channels = std::min(width, s.channels - block * width);
        for (std::int64_t c = 0; c < channels; c += lanes) total(from + c).store_aligned(lane + c);
        for (std::int64_t c = 0; c < channels; ++c)
          to[(block * width + c) * s.taps() + tap] = lane[c];
      }
  }
}

template <class T, class A>
void plan_weight(const KernelCall& call, Plan& plan) {
  if (call.out[0].elements() == 0) return;
  Slices<T, A> s(call);
  if (call.in[0].elements() == 0) {
    // No images or no places: nothing is added, and every sum is zero.
    s.images = 0;
    s.y.dest = s.x.dest = 1;
  }
  s.cut(plan);
  plan.scratch_bytes = static_cast<std::size_t>(s.slices * s.groups * s.partial_size()) * sizeof(T);
  plan.cost_ns =
      100 + 2.0 * s.images * s.groups * s.rows * s.columns() * s.y.dest * s.x.dest / flops_per_ns;
  const bool dot = s.way == Slices<T, A>::Way::dot;
  plan.add(dot ? &run_dot<T, A> : &run_outer<T, A>, s.slices * s.groups * s.channel_blocks());
  plan.add(&run_add<T, A>, s.groups * ceil_div(s.rows, add_rows(s)));
}

}  // namespace

template <>
void Kernel<Conv2dBackwardWeight, Arch>::plan(const KernelCall& call, Plan& plan) {
  if (!is_computable(call.in[0].dtype))
    return plan_wide<Arch>(call, plan, &Kernel<Conv2dBackwardWeight, Arch>::plan);
  switch (call.in[0].dtype) {
    case DType::float32:
      if (plan_winograd_weight<Arch>(call, plan)) return;
      return plan_weight<float, Arch>(call, plan);
    case DType::float64:
      return plan_weight<double, Arch>(call, plan);
    default:
      throw_unsupported("conv2d_backward_weight", call.in[0].dtype);
  }
}

}  // namespace troupe::cpu
