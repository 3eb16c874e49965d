#include "conv2d_winograd.hpp"
#include "gemm.hpp"
#include "rooms.hpp"
#include "winograd_tiles.hpp"

#include <algorithm>

/// Convolution backward to the weight by Winograd's F(3×3, 4×4): tiles of dy, 4×4, are to tiles of
/// x, 6×6, what weights are to sources in the forward pass. For each of the 36 places, dw's share
/// is a product of two matrices that is deep in tiles; shares of all tiles are added before they
/// are transformed back.
///
/// The sum over tiles is cut into slices, their number given by the shape, that a second phase adds
/// in order.
namespace troupe::cpu {
namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// How the sum is cut.
template <class A>
struct Shares {
  using W = Winograd<A>;
  using V = Vec<float, A>;
  static constexpr std::int64_t lanes = W::lanes;
  static constexpr std::int64_t width = Tile<float, A>::columns;
  static constexpr std::int64_t places = 36;
  /// Tiles that are transformed before they are multiplied: the shares are read and written once
  /// for each.
  static constexpr std::int64_t depth = 32;
  /// A run's window of x, with vectors of channels, takes most of a first-level cache.
  static constexpr std::int64_t run_max = 8;
  static constexpr std::int64_t window_columns = 4 * run_max + 2;
  /// Rows of dy that are transformed at a time.
  static constexpr std::int64_t rows_max = 72;
  using Gradients = TilePanel<A, depth, 4>;
  using Sources = TilePanel<A, depth, 6>;

  explicit Shares(const KernelCall& call) noexcept {
    const auto& op = call.op<Conv2dBackwardWeight>();
    const Shape& dy = call.in[0].shape;
    const Shape& weight = call.out[0].shape;
    groups = op.groups;
    rows = weight[0] / op.groups;
    channels = weight[1];
    padding_y = op.padding[0];
    padding_x = op.padding[1];
    grid = TileGrid<A>::of(dy[0], dy[2], dy[3]);
    row_tiles = RowTiles<A>::cut(rows, Tile<float, A>::rows);
    const std::int64_t blocks = ceil_div(rows, rows_max);
    block_tiles = ceil_div(row_tiles.count, blocks);
  }
  Shares(const KernelCall& call, const Plan& plan) noexcept : Shares(call) {
    slices = plan.numbers[0];
    rooms = plan.numbers[1];
  }

  /// Cuts by shape.
  void cut(Plan& plan) noexcept {
    // A slice is long enough to be worth its sums, which must fit somewhere too.
    const double chunk = 2.0 * places * std::min(rows, rows_max) * width * depth;
    const double deep = std::max(6.0, chunk_flops<A>(chunk * steps() * blocks()) / chunk);
    const double affordable = 16e6 / sizeof(float) / static_cast<double>(groups * share_size());
    slices = std::clamp<std::int64_t>(std::min(steps() / deep, affordable), 1, steps());
    rooms = Room<A>::count(chunks(), room_bytes());
    plan.numbers = {slices, rooms};
  }

  [[nodiscard]] std::int64_t steps() const noexcept { return ceil_div(grid.tiles, depth); }
  [[nodiscard]] std::int64_t row_blocks() const noexcept {
    return ceil_div(row_tiles.count, block_tiles);
  }
  [[nodiscard]] std::int64_t channel_blocks() const noexcept { return ceil_div(channels, width); }
  [[nodiscard]] std::int64_t blocks() const noexcept {
    return groups * row_blocks() * channel_blocks();
  }
  [[nodiscard]] std::int64_t chunks() const noexcept { return slices * blocks(); }
  /// Elements of one slice's shares for one group: [channel block][place][row][channel].
  [[nodiscard]] std::int64_t share_size() const noexcept {
    return channel_blocks() * places * rows * width;
  }
  [[nodiscard]] float* share(
      std::byte* scratch, std::int64_t slice, std::int64_t group) const noexcept {
    return reinterpret_cast<float*>(scratch) + (slice * groups + group) * share_size();
  }
  [[nodiscard]] std::size_t shares_bytes() const noexcept {
    return static_cast<std::size_t>(ceil_div(slices * groups * share_size(), 16) * 16) *
           sizeof(float);
  }
  /// Elements between places of what is transformed: not a power of 2.
  [[nodiscard]] std::int64_t gradient_size() const noexcept {
    return std::min(rows, block_tiles * Tile<float, A>::rows) * depth + 16;
  }
  static constexpr std::int64_t source_size = depth * width + 16;
  [[nodiscard]] std::size_t room_bytes() const noexcept {
    return static_cast<std::size_t>(places * (gradient_size() + source_size)) * sizeof(float);
  }

  std::int64_t groups = 1;
  std::int64_t rows = 0;      ///< of dw in a group: channels of dy
  std::int64_t channels = 0;  ///< of x in a group
  std::int64_t padding_y = 0;
  std::int64_t padding_x = 0;
  TileGrid<A> grid;
  RowTiles<A> row_tiles{};
  std::int64_t block_tiles = 1;  ///< row tiles in a chunk
  std::int64_t slices = 1;
  std::int64_t rooms = 1;
};

/// Makes the rooms free. A phase of its own, for chunks of the next may run before its first.
template <class A>
void run_open(const KernelCall& call, const Plan& plan, std::uint32_t, std::byte* scratch) {
  Room<A>::open(scratch + Shares<A>(call, plan).shares_bytes());
}

/// Transforms rows of dy: to[place][row][tile].
template <class A>
void transform_gradients(
    const Shares<A>& s,
    const typename Shares<A>::Gradients& panel,
    const View& dy,
    std::int64_t first,
    std::int64_t end,
    float* to) noexcept {
  using S = Shares<A>;
  using W = Winograd<A>;
  using V = typename W::V;
  constexpr std::int64_t lanes = W::lanes;
  TileRows<A, S::depth, 4> tensor(dy);
  alignas(64) float lines[6][tile_line<A, S::depth>] = {};
  const std::int64_t place_size = s.gradient_size();
  for (std::int64_t row = first; row < end; ++row, to += S::depth) {
    for (int i = 0; i < panel.count; ++i) {
      const TileRun& run = panel.runs[i];
      const V* const masks = panel.masks + run.first_mask;
      tensor.prefetch(run, (row + 4) * dy.strides[1]);
      const float* from[4];
      tensor.find(run, row * dy.strides[1], from);
      for (std::int64_t v = 0; v < run.vectors; ++v) {
        V d[4];
#pragma GCC unroll 4
        for (int r = 0; r < 4; ++r) d[r] = V::load_unaligned(from[r] + v * lanes) & masks[v];
        V down[6];
        W::gradient(d, down);
#pragma GCC unroll 6
        for (int r = 0; r < 6; ++r) down[r].store_unaligned(lines[r] + run.at * 4 + v * lanes);
      }
    }
    for (std::int64_t tile = 0; tile < panel.tiles; tile += lanes)
      for (int i = 0; i < 6; ++i) {
        V d[4];
        W::part(lines[i] + tile * 4, d);
        V all[6];
        W::gradient(d, all);
        float* const at = to + i * 6 * place_size + tile;
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) {
          __builtin_prefetch(at + j * place_size + S::depth, 1);
          all[j].store_unaligned(at + j * place_size);
        }
      }
  }
}

/// A run's part of x, turned: vectors of channels, zeros where x has nothing.
template <class A>
void turn_run(
    const TileRun& run,
    const View& x,
    const float* from,
    std::int64_t channels,
    float (&window)[6][Shares<A>::window_columns][Shares<A>::width]) noexcept {
  constexpr std::int64_t width = Shares<A>::width;
  const std::int64_t columns = run.count * 4 + 2;
  const std::int64_t begin = std::clamp<std::int64_t>(-run.left, 0, columns);
  const std::int64_t end = std::clamp<std::int64_t>(x.shape[3] - run.left, begin, columns);
  for (std::int64_t r = 0; r < 6; ++r) {
    float* const to = window[r][0];
    if (r < run.first_row || r >= run.end_row) {
      std::fill_n(to, columns * width, 0.0f);
      continue;
    }
    std::fill_n(to, begin * width, 0.0f);
    turn_row<float, A>(
        from + run.source + r * x.strides[2] + begin * x.strides[3],
        x.strides[1],
        x.strides[3],
        channels,
        end - begin,
        to + begin * width);
    std::fill_n(to + end * width, (columns - end) * width, 0.0f);
  }
}

/// Transforms a block of x's channels: to[place][tile][channel].
template <class A>
void transform_channels(
    const typename Shares<A>::Sources& panel,
    const View& x,
    std::int64_t first,
    std::int64_t channels,
    float* to) noexcept {
  using S = Shares<A>;
  using W = Winograd<A>;
  using V = typename W::V;
  constexpr std::int64_t width = S::width;
  const std::int64_t vectors = channels > S::lanes ? 2 : 1;
  alignas(64) float window[6][S::window_columns][width];
  for (int k = 0; k < panel.count; ++k) {
    const TileRun& run = panel.runs[k];
    turn_run<A>(run, x, x.as<const float>() + first * x.strides[1], channels, window);
    for (std::int64_t column = 0; column < run.count * 4 + 2; ++column)
      for (std::int64_t v = 0; v < vectors * S::lanes; v += S::lanes) {
        V d[6];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) d[i] = V::load_aligned(window[i][column] + v);
        V down[6];
        W::source(d, down);
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) down[i].store_aligned(window[i][column] + v);
      }
    for (std::int64_t tile = 0; tile < run.count; ++tile)
      for (int i = 0; i < 6; ++i)
        for (std::int64_t v = 0; v < vectors * S::lanes; v += S::lanes) {
          V d[6];
#pragma GCC unroll 6
          for (int j = 0; j < 6; ++j) d[j] = V::load_aligned(window[i][tile * 4 + j] + v);
          V all[6];
          W::source(d, all);
          float* const at = to + i * 6 * S::source_size + (run.at + tile) * width + v;
#pragma GCC unroll 6
          for (int j = 0; j < 6; ++j) {
            __builtin_prefetch(at + j * S::source_size + width, 1);
            all[j].store_unaligned(at + j * S::source_size);
          }
        }
  }
}

/// Adds up a slice's shares for some of a group's rows and a block of its channels.
template <class A>
void run_slice(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using S = Shares<A>;
  constexpr std::int64_t width = S::width;
  const S s(call, plan);
  const std::int64_t channel_block = chunk % s.channel_blocks();
  const std::int64_t row_block = chunk / s.channel_blocks() % s.row_blocks();
  const std::int64_t group = chunk / s.channel_blocks() / s.row_blocks() % s.groups;
  const std::int64_t slice = chunk / s.blocks();
  const std::int64_t channels = std::min(width, s.channels - channel_block * width);
  const std::int64_t vectors = channels > S::lanes ? 2 : 1;
  const std::int64_t first_tile = row_block * s.block_tiles;
  const std::int64_t end_tile = std::min(first_tile + s.block_tiles, s.row_tiles.count);
  const std::int64_t first_row = s.row_tiles.begin(first_tile);
  const std::int64_t end_row = s.row_tiles.begin(end_tile);
  const std::int64_t first_step = slice * s.steps() / s.slices;
  const std::int64_t end_step = (slice + 1) * s.steps() / s.slices;
  float* const shares = s.share(scratch, slice, group) + channel_block * S::places * s.rows * width;
  const Room<A> room(scratch + s.shares_bytes(), s.rooms, s.room_bytes());
  float* const gradients = reinterpret_cast<float*>(room.data());
  float* const sources = gradients + S::places * s.gradient_size();
  const auto& functions = tile_table<float, A>()[vectors - 1];

  for (std::int64_t step = first_step; step < end_step; ++step) {
    const std::int64_t first = step * S::depth;
    const std::int64_t end = std::min(first + S::depth, s.grid.tiles);
    transform_gradients<A>(
        s,
        typename S::Gradients(s.grid, first, end, S::depth, call.in[0], 0, 0),
        call.in[0],
        group * s.rows + first_row,
        group * s.rows + end_row,
        gradients);
    transform_channels<A>(
        typename S::Sources(s.grid, first, end, S::run_max, call.in[1], s.padding_y, s.padding_x),
        call.in[1],
        group * s.channels + channel_block * width,
        channels,
        sources);
    TileCall<float> tile;
    tile.a_row = S::depth;
    tile.b_row = width;
    tile.k = end - first;
    tile.c_row = width;
    tile.from_row = width;
    for (std::int64_t place = 0; place < S::places; ++place) {
      tile.b = sources + place * S::source_size;
      for (std::int64_t i = first_tile; i < end_tile; ++i) {
        const std::int64_t row = s.row_tiles.begin(i);
        const std::int64_t rows = s.row_tiles.begin(i + 1) - row;
        tile.a = gradients + place * s.gradient_size() + (row - first_row) * S::depth;
        tile.c = shares + (place * s.rows + row) * width;
        tile.from = step == first_step ? nullptr : tile.c;
        functions[rows - 1](tile);
      }
    }
  }
}

/// Adds the slices in order, transforms back and writes one row of dw.
template <class A>
void run_add(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using S = Shares<A>;
  using W = Winograd<A>;
  using V = typename W::V;
  constexpr std::int64_t width = S::width;
  const S s(call, plan);
  const std::int64_t group = chunk / s.rows;
  const std::int64_t row = chunk % s.rows;
  const std::int64_t step = s.groups * s.share_size();
  float* const to = call.out[0].as<float>() + (group * s.rows + row) * s.channels * 9;
  for (std::int64_t c = 0; c < s.channels; c += S::lanes) {
    const float* const from =
        s.share(scratch, 0, group) + (c / width * S::places * s.rows + row) * width + c % width;
    V down[6][3];
    for (int j = 0; j < 6; ++j) {
      V m[6];
      for (int i = 0; i < 6; ++i) {
        const float* const at = from + (i * 6 + j) * s.rows * width;
        m[i] = V::load_unaligned(at);
        for (std::int64_t slice = 1; slice < s.slices; ++slice)
          m[i] = m[i] + V::load_unaligned(at + slice * step);
      }
      W::weight_result(m, down[j]);
    }
    alignas(64) float taps[9][S::lanes];
    for (int i = 0; i < 3; ++i) {
      const V m[6] = {down[0][i], down[1][i], down[2][i], down[3][i], down[4][i], down[5][i]};
      V across[3];
      W::weight_result(m, across);
      for (int j = 0; j < 3; ++j) across[j].store_aligned(taps[i * 3 + j]);
    }
    const std::int64_t channels = std::min(S::lanes, s.channels - c);
    for (std::int64_t k = 0; k < channels; ++k)
      for (int tap = 0; tap < 9; ++tap) to[(c + k) * 9 + tap] = taps[tap][k];
  }
}

/// Whether the transforms cost less than the products that they save, counted in multiplications of
/// a vector.
template <class A>
bool pays(const KernelCall& call, const Shares<A>& s) noexcept {
  const auto& op = call.op<Conv2dBackwardWeight>();
  const Shape& weight = call.out[0].shape;
  for (std::size_t i = 0; i < 2; ++i)
    if (weight[2 + i] != 3 || op.stride[i] != 1 || op.dilation[i] != 1) return false;
  if (s.channels < 8 || s.rows < 8 || s.grid.tiles == 0) return false;
  const Shape& dy = call.in[0].shape;
  const auto rows = static_cast<double>(s.rows);
  const auto tiles = static_cast<double>(s.grid.tiles);
  const auto vectors = static_cast<double>(ceil_div(s.channels, s.lanes));
  const double plain = 1.15 * 9 * rows * vectors * dy[0] * dy[2] * dy[3];
  const double products = 1.25 * 36 * rows * vectors * tiles;
  const double transforms =
      900 * rows * vectors + 340 * vectors * tiles + 250 * rows * ceil_div(s.grid.tiles, s.lanes);
  return products + transforms < plain;
}

}  // namespace

template <class A>
bool plan_winograd_weight(const KernelCall& call, Plan& plan) {
  Shares<A> s(call);
  if (!pays(call, s)) return false;
  s.cut(plan);
  plan.scratch_bytes =
      s.shares_bytes() + Room<A>::head_bytes + static_cast<std::size_t>(s.rooms) * s.room_bytes();
  plan.cost_ns = 100 + 2.5 * 36 * s.groups * s.rows * s.channels * s.grid.tiles / flops_per_ns;
  plan.add(&run_open<A>, 1);
  plan.add(&run_slice<A>, s.chunks());
  plan.add(&run_add<A>, s.groups * s.rows);
  return true;
}

template bool plan_winograd_weight<Arch>(const KernelCall&, Plan&);

}  // namespace troupe::cpu
