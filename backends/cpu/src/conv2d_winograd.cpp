#include "conv2d_winograd.hpp"

#include "gemm.hpp"
#include "gemm_pack.hpp"
#include "pool_pairs.hpp"
#include "rooms.hpp"
#include "winograd_tiles.hpp"

#include <algorithm>
#include <cstring>

/// Convolution forward, and backward to the input, by Winograd's F(4×4, 3×3).
///
/// Results are cut into tiles of 4×4, numbered through all images, and a panel's width of them is
/// done together: their sources, 6×6 places that overlap, are transformed channel by channel; then
/// for each tile of rows, while their 36 products fit into the second-level cache, sums over the
/// channels are made by the same functions as in matrix products, and transformed back.
///
/// Vectors run along tiles, so images may have any size; what lies outside of them is masked off.
namespace troupe::cpu {
namespace {

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

/// How the tiles and the rows are cut.
template <class A>
struct Tiling : Correlation<A> {
  using W = Winograd<A>;
  using V = Vec<float, A>;
  static constexpr std::int64_t lanes = W::lanes;
  static constexpr std::int64_t width = Tile<float, A>::columns;
  static constexpr std::int64_t products = 36;  ///< of a tile and a channel
  static constexpr std::int64_t line = tile_line<A, width>;

  explicit Tiling(const Correlation<A>& correlation) noexcept
      : Correlation<A>(correlation),
        grid(TileGrid<A>::of(this->images, this->y.dest, this->x.dest)),
        row_tiles(RowTiles<A>::cut(this->rows, Tile<float, A>::rows)) {}
  Tiling(const KernelCall& call, const Plan& plan) noexcept
      : Tiling(Correlation<A>::of(call, static_cast<CorrelationKind>(plan.numbers[0]))) {
    chunk_panels = plan.numbers[1];
    chunk_rows = plan.numbers[2];
    rooms = plan.numbers[3];
    shared = plan.numbers[4] != 0;
  }

  /// Cuts by shape.
  void cut(CorrelationKind kind, Plan& plan) noexcept {
    const double panel_flops = 2.0 * products * this->rows * this->channels * width;
    const double target = chunk_flops<A>(panel_flops * panels() * this->groups);
    chunk_panels = std::clamp<std::int64_t>(target / panel_flops, 1, panels());
    // Rows are cut where there are few panels. Their chunks share the transformed sources.
    const std::int64_t wanted = ceil_div(4, unit_chunks() * this->groups);
    const std::int64_t most = std::max<std::int64_t>(panel_flops / target, 1);
    const std::int64_t blocks = std::clamp<std::int64_t>(
        std::min(wanted, most), 1, std::max<std::int64_t>(row_tiles.count / 2, 1));
    chunk_rows = ceil_div(row_tiles.count, blocks);
    shared = row_chunks() > 1;
    rooms = Room<A>::count(chunks(), room_bytes());
    plan.numbers = {static_cast<std::int64_t>(kind), chunk_panels, chunk_rows, rooms, shared};
  }

  [[nodiscard]] std::int64_t panels() const noexcept { return ceil_div(grid.tiles, width); }
  [[nodiscard]] std::int64_t unit_chunks() const noexcept {
    return ceil_div(panels(), chunk_panels);
  }
  [[nodiscard]] std::int64_t row_chunks() const noexcept {
    return ceil_div(row_tiles.count, chunk_rows);
  }
  [[nodiscard]] std::int64_t chunks() const noexcept {
    return this->groups * row_chunks() * unit_chunks();
  }
  /// Where a tile's transformed weights are in those of its group, [place][tile][channel][row] with
  /// room for a vector behind each tile.
  [[nodiscard]] std::int64_t weights_at(std::int64_t place, std::int64_t tile) const noexcept {
    return place * (this->rows * this->channels + row_tiles.count * 16) +
           row_tiles.begin(tile) * this->channels + tile * 16;
  }
  /// Elements of a group's transformed weights.
  [[nodiscard]] std::int64_t weights_size() const noexcept {
    return ceil_div(weights_at(products, 0), 16) * 16;
  }
  /// Elements of one place of the transformed sources: not a power of 2 apart, or all places would
  /// share a few lines of the first-level cache.
  [[nodiscard]] std::int64_t source_size() const noexcept { return this->channels * width + 16; }
  /// Elements of a panel's transformed sources, whole lines of a cache.
  [[nodiscard]] std::int64_t panel_size() const noexcept {
    return ceil_div(products * source_size(), 16) * 16;
  }
  [[nodiscard]] std::size_t room_bytes() const noexcept {
    const std::int64_t sums = products * Tile<float, A>::rows * width;
    return static_cast<std::size_t>(ceil_div((shared ? 0 : panel_size()) + sums, 16) * 16) *
           sizeof(float);
  }
  /// What a chunk of the first phase transforms of a panel: whole channels, some 3 µs' worth.
  [[nodiscard]] std::int64_t source_blocks() const noexcept {
    return ceil_div(this->channels, std::int64_t{16});
  }
  [[nodiscard]] std::int64_t source_chunks() const noexcept {
    return shared ? this->groups * panels() * source_blocks() : 0;
  }
  [[nodiscard]] std::size_t shared_bytes() const noexcept {
    return shared ? static_cast<std::size_t>(this->groups * panels() * panel_size()) * sizeof(float)
                  : 0;
  }
  [[nodiscard]] std::size_t weights_bytes() const noexcept {
    return static_cast<std::size_t>(this->groups * weights_size()) * sizeof(float);
  }
  /// Where sources that chunks share are: behind the weights, if those are made by this launch.
  [[nodiscard]] float* shared_sources(
      const KernelCall& call,
      std::byte* scratch,
      std::int64_t group,
      std::int64_t panel) const noexcept {
    return reinterpret_cast<float*>(call.packed ? scratch : scratch + weights_bytes()) +
           (group * panels() + panel) * panel_size();
  }
  /// Where rooms begin: behind those.
  [[nodiscard]] std::byte* rooms_head(const KernelCall& call, std::byte* scratch) const noexcept {
    return (call.packed ? scratch : scratch + weights_bytes()) + shared_bytes();
  }

  TileGrid<A> grid;
  RowTiles<A> row_tiles;
  std::int64_t chunk_panels = 1;
  std::int64_t chunk_rows = 1;  ///< row tiles in a chunk
  std::int64_t rooms = 1;
  bool shared = false;  ///< sources are transformed by chunks of the first phase
};

template <class A>
using Panel = TilePanel<A, Tiling<A>::width, 6>;

/// The nine weights of one channel for each of a tile's rows, as vectors of rows.
template <class A>
struct Taps {
  static constexpr std::int64_t lanes = Winograd<A>::lanes;
  static constexpr std::int64_t rows_max = ceil_div(Tile<float, A>::rows, lanes) * lanes;

  void gather(const Tiling<A>& s, const float* from, std::int64_t rows) noexcept {
    const bool dense = s.weight_y == 3 * s.weight_x && s.weight_x * s.weight_x == 1;
    if (!dense) {
      for (std::int64_t tap = 0; tap < 9; ++tap)
        for (std::int64_t r = 0; r < rows; ++r)
          weights[tap][r] = from[r * s.weight_row + tap / 3 * s.weight_y + tap % 3 * s.weight_x];
      return;
    }
    constexpr std::int64_t size = transpose_size<float, A>;
    turned = s.weight_x < 0;
    if (turned) from -= 8;
    for (std::int64_t r = 0; r < rows; r += size)
      for (std::int64_t tap = 0; tap < 8; tap += size)
        transpose_block<float, A>(
            from + r * s.weight_row + tap,
            s.weight_row,
            static_cast<int>(std::min(size, rows - r)),
            weights[tap] + r,
            rows_max);
    for (std::int64_t r = 0; r < rows; ++r) weights[8][r] = from[r * s.weight_row + 8];
  }
  [[nodiscard]] Vec<float, A> at(int tap, std::int64_t row) const noexcept {
    return Vec<float, A>::load_aligned(weights[turned ? 8 - tap : tap] + row);
  }

  alignas(64) float weights[9][rows_max] = {};
  bool turned = false;
};

/// Transforms the weights of one tile of rows to [place][tile][channel][row].
template <class A>
void run_weights(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using W = Winograd<A>;
  using V = typename W::V;
  /// Channels that are gathered before the first is transformed: what has been written in parts
  /// cannot be read as a whole before it has left for the cache.
  constexpr std::int64_t together = 8;
  const Tiling<A> s(call, plan);
  const std::int64_t group = chunk / s.row_tiles.count;
  const std::int64_t tile = chunk % s.row_tiles.count;
  const std::int64_t row = s.row_tiles.begin(tile);
  const std::int64_t rows = s.row_tiles.begin(tile + 1) - row;
  const float* const from =
      call.in[1].as<const float>() + s.weight_start + group * s.weight_group + row * s.weight_row;
  float* const to =
      reinterpret_cast<float*>(scratch) + group * s.weights_size() + s.weights_at(0, tile);
  const std::int64_t step = s.weights_at(1, 0);

  Taps<A> taps[together];
  for (std::int64_t first = 0; first < s.channels; first += together) {
    const std::int64_t end = std::min(first + together, s.channels);
    for (std::int64_t c = first; c < end; ++c)
      taps[c - first].gather(s, from + c * s.weight_channel, rows);
    for (std::int64_t c = first; c < end; ++c)
      for (std::int64_t r = 0; r < rows; r += W::lanes) {
        V down[3][6];
#pragma GCC unroll 3
        for (int x = 0; x < 3; ++x) {
          const V column[3] = {
              taps[c - first].at(x, r), taps[c - first].at(3 + x, r), taps[c - first].at(6 + x, r)};
          W::weights(column, down[x]);
        }
        float* at = to + c * rows + r;
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) {
          const V row_of_places[3] = {down[0][i], down[1][i], down[2][i]};
          V all[6];
          W::weights(row_of_places, all);
          // Past the tile's rows too, where the next channel's will be written.
#pragma GCC unroll 6
          for (int j = 0; j < 6; ++j, at += step) {
            __builtin_prefetch(at + 2 * rows, 1);
            all[j].store_unaligned(at);
          }
        }
      }
  }
}

/// Rows of a panel's tiles, transformed downward: row[i][4·tile + j] for j = 0 to 3, and
/// next[i][4·tile + j] for j = 4 to 7.
template <class A>
struct Lines {
  alignas(64) float row[6][Tiling<A>::line] = {};
  alignas(64) float next[6][Tiling<A>::line] = {};
};

/// Transforms a run's sources downward.
template <class A>
void transform_down(
    const TileRun& run,
    const Vec<float, A>* masks,
    const float* const (&from)[6],
    Lines<A>& lines) noexcept {
  using W = Winograd<A>;
  using V = typename W::V;
  constexpr std::int64_t lanes = W::lanes;
  const std::int64_t at = run.at * 4;
  V last[6];
  for (std::int64_t v = 0; v < run.vectors; ++v) {
    V d[6];
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) d[i] = V::load_unaligned(from[i] + v * lanes) & masks[v];
    V to[6];
    W::source(d, to);
#pragma GCC unroll 6
    for (int i = 0; i < 6; ++i) {
      to[i].store_unaligned(lines.row[i] + at + v * lanes);
      if (v > 0)
        W::from_fourth(last[i], to[i]).store_unaligned(lines.next[i] + at + (v - 1) * lanes);
      last[i] = to[i];
    }
  }
  const V zero(0.0f);
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i)
    W::from_fourth(last[i], zero).store_unaligned(lines.next[i] + at + (run.vectors - 1) * lanes);
}

/// Transforms the sources of a panel's tiles, some channels of them: to[place][channel][tile].
template <class A>
void transform_sources(
    const Tiling<A>& s,
    const Panel<A>& panel,
    const View& source,
    std::int64_t group,
    std::int64_t first_channel,
    std::int64_t end_channel,
    float* to) noexcept {
  using W = Winograd<A>;
  using V = typename W::V;
  using S = Tiling<A>;
  TileRows<A, S::width, 6> tensor(source);
  Lines<A> lines;
  const std::int64_t place_size = s.source_size();
  const std::int64_t vectors = panel.tiles > S::lanes ? 2 : 1;

  for (std::int64_t c = first_channel; c < end_channel; ++c) {
    const std::int64_t channel = (group * s.channels + c) * source.strides[1];
    for (int i = 0; i < panel.count; ++i) {
      const TileRun& run = panel.runs[i];
      tensor.prefetch(run, channel + 4 * source.strides[1]);
      const float* from[6];
      tensor.find(run, channel, from);
      transform_down<A>(run, panel.masks + run.first_mask, from, lines);
    }
    for (std::int64_t v = 0; v < vectors; ++v)
      for (int i = 0; i < 6; ++i) {
        V four[4];
        V d[6];
        W::part(lines.row[i] + v * 4 * S::lanes, four);
        W::part_first(lines.next[i] + v * 4 * S::lanes, d[4], d[5]);
        d[0] = four[0];
        d[1] = four[1];
        d[2] = four[2];
        d[3] = four[3];
        V all[6];
        W::source(d, all);
        float* const at = to + i * 6 * place_size + c * S::width + v * S::lanes;
#pragma GCC unroll 6
        for (int j = 0; j < 6; ++j) {
          // A store whose line is not there holds up all that follow.
          __builtin_prefetch(at + j * place_size + S::width, 1);
          all[j].store_unaligned(at + j * place_size);
        }
      }
  }
}

template <class A>
Panel<A> panel_at(const Tiling<A>& s, const View& source, std::int64_t panel) noexcept {
  constexpr std::int64_t width = Tiling<A>::width;
  return Panel<A>(
      s.grid,
      panel * width,
      std::min((panel + 1) * width, s.grid.tiles),
      width,
      source,
      s.y.padding,
      s.x.padding);
}

/// The first phase: makes the rooms free, transforms weights that did not come transformed, and
/// sources that chunks share.
template <class A>
void run_first(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Tiling<A> s(call, plan);
  if (chunk == 0) Room<A>::open(s.rooms_head(call, scratch));
  const std::int64_t weight_chunks = call.packed ? 0 : s.groups * s.row_tiles.count;
  if (chunk < weight_chunks) return run_weights<A>(call, plan, chunk, scratch);
  const std::int64_t own = chunk - weight_chunks;
  if (own >= s.source_chunks()) return;
  const std::int64_t block = own % s.source_blocks();
  const std::int64_t panel = own / s.source_blocks() % s.panels();
  const std::int64_t group = own / s.source_blocks() / s.panels();
  transform_sources<A>(
      s,
      panel_at<A>(s, call.in[0], panel),
      call.in[0],
      group,
      block * s.channels / s.source_blocks(),
      (block + 1) * s.channels / s.source_blocks(),
      s.shared_sources(call, scratch, group, panel));
}

/// Transforms one row's sums back: four lines of 4·tile + j.
template <class A>
void transform_back(
    const float* sums,
    std::int64_t place_size,
    std::int64_t vectors,
    float bias,
    float (&to)[4][Tiling<A>::line]) noexcept {
  using W = Winograd<A>;
  using V = typename W::V;
  constexpr std::int64_t lanes = W::lanes;
  for (std::int64_t v = 0; v < vectors; ++v) {
    V down[6][4];
#pragma GCC unroll 6
    for (int j = 0; j < 6; ++j) {
      V m[6];
#pragma GCC unroll 6
      for (int i = 0; i < 6; ++i)
        m[i] = V::load_unaligned(sums + (i * 6 + j) * place_size + v * lanes);
      W::result(m, down[j]);
    }
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
      const V m[6] = {down[0][q], down[1][q], down[2][q], down[3][q], down[4][q], down[5][q]};
      V y[4];
      W::result(m, y);
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) y[j] = y[j] + V(bias);
      W::join(y, to[q] + v * 4 * lanes);
    }
  }
}

/// Has the lines fetched that a row's results will go to.
template <class A>
void prefetch_results(const Tiling<A>& s, const Panel<A>& panel, const float* channel) noexcept {
  for (int j = 0; j < panel.count; ++j) {
    const TileRun& run = panel.runs[j];
    const float* const to = channel +
                            (run.image * s.groups * s.rows * s.y.dest + run.down * 4) * s.x.dest +
                            run.across * 4;
    for (std::int64_t q = 0; q < 4; ++q)
      for (std::int64_t x = 0; x < run.count * 4; x += 16)
        __builtin_prefetch(to + q * s.x.dest + x, 1);
  }
}

/// Copies a short row of places: whole words, the last one overlapping.
template <class A>
void copy_places(const std::uint8_t* from, std::int64_t count, std::uint8_t* to) noexcept {
  const auto move = [&]<class Word>(std::int64_t i, Word word) {
    std::memcpy(&word, from + i, sizeof word);
    std::memcpy(to + i, &word, sizeof word);
  };
  if (count >= 8) {
    for (std::int64_t i = 0; i + 8 < count; i += 8) move(i, std::uint64_t{});
    move(count - 8, std::uint64_t{});
  } else if (count >= 4) {
    move(0, std::uint32_t{});
    move(count - 4, std::uint32_t{});
  } else {
    for (std::int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

/// The results of one row, pooled: two lines of 2·tile + j.
template <class A>
struct PooledLines {
  static constexpr int lanes = static_cast<int>(Tiling<A>::lanes);
  static constexpr std::int64_t width = 2 * Tiling<A>::width;

  /// From lines that hold so many vectors of tiles.
  void pool(
      const float (&lines)[4][Tiling<A>::line], std::int64_t vectors, const KernelCall& call) {
    const bool keeps = call.out_count > 2;
    for (int q = 0; q < 2; ++q)
      for (std::int64_t j = 0; j < 2 * vectors * lanes; j += lanes)
        Pairs<float, lanes, A>::forward(
            lines[2 * q] + 2 * j,
            lines[2 * q + 1] + 2 * j,
            call.pools_with_relu,
            most[q] + j,
            keeps ? places[q] + j : nullptr);
  }
  /// Writes them where they belong: to channel `channel` of the panel's images.
  void write(const Panel<A>& panel, const KernelCall& call, std::int64_t channel) const noexcept {
    const Shape& shape = call.out[1].shape;
    const bool keeps = call.out_count > 2;
    for (int j = 0; j < panel.count; ++j) {
      const TileRun& run = panel.runs[j];
      const std::int64_t top = run.down * 2;
      const std::int64_t left = run.across * 2;
      const std::int64_t count = std::min(run.count * 2, shape[3] - left);
      const std::int64_t height = std::min<std::int64_t>(2, shape[2] - top);
      if (count <= 0) continue;
      std::int64_t to = ((run.image * shape[1] + channel) * shape[2] + top) * shape[3] + left;
      for (std::int64_t q = 0; q < height; ++q, to += shape[3]) {
        const float* const from = most[q] + run.at * 2;
        float* const row = call.out[1].as<float>() + to;
        // A run that fills half a register begins with one's half: see write_row().
        if (count < lanes)
          write_row<float, A, lanes / 2>(from, count, row);
        else
          write_row<float, A>(from, count, row);
        if (keeps)
          copy_places<A>(places[q] + run.at * 2, count, call.out[2].as<std::uint8_t>() + to);
      }
    }
  }

  alignas(64) float most[2][width + 16];
  alignas(64) std::uint8_t places[2][width];
};

/// Calls the segment for what one tile of rows has finished.
template <class A>
void go_on(
    const Tiling<A>& s,
    const Panel<A>& panel,
    const KernelCall& call,
    std::int64_t group,
    std::int64_t row,
    std::int64_t rows) noexcept {
  for (int i = 0; i < panel.count;) {
    const TileRun& run = panel.runs[i];
    int end = i + 1;
    const bool wide = run.count == s.grid.across;
    while (wide && end < panel.count && panel.runs[end].image == run.image &&
           panel.runs[end].count == s.grid.across)
      ++end;
    const std::int64_t plane = (run.image * s.groups + group) * s.rows + row;
    const std::int64_t top = run.down * 4;
    const std::int64_t bottom = std::min((panel.runs[end - 1].down + 1) * 4, s.y.dest);
    const std::int64_t left = run.across * 4;
    const std::int64_t right = std::min(left + run.count * 4, s.x.dest);
    i = end;
    if (wide && top == 0 && bottom == s.y.dest) {
      call.run_segment(*call.segment, plane * s.places(), (plane + rows) * s.places());
      continue;
    }
    for (std::int64_t r = 0; r < rows; ++r) {
      const std::int64_t at = (plane + r) * s.places();
      if (wide)
        call.run_segment(*call.segment, at + top * s.x.dest, at + bottom * s.x.dest);
      else
        for (std::int64_t y = top; y < bottom; ++y)
          call.run_segment(*call.segment, at + y * s.x.dest + left, at + y * s.x.dest + right);
    }
  }
}

/// Computes some panels of tiles for some of a group's rows.
template <class A>
void run_panels(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using S = Tiling<A>;
  constexpr std::int64_t width = S::width;
  const S s(call, plan);
  const std::int64_t per_group = s.row_chunks() * s.unit_chunks();
  const std::int64_t group = chunk / per_group;
  const std::int64_t first_row_tile = chunk % per_group / s.unit_chunks() * s.chunk_rows;
  const std::int64_t end_row_tile = std::min(first_row_tile + s.chunk_rows, s.row_tiles.count);
  const std::int64_t first_panel = chunk % s.unit_chunks() * s.chunk_panels;
  const std::int64_t end_panel = std::min(first_panel + s.chunk_panels, s.panels());
  const auto* const weights = reinterpret_cast<const float*>(call.packed ? call.packed : scratch) +
                              group * s.weights_size();
  const Room<A> room(s.rooms_head(call, scratch), s.rooms, s.room_bytes());
  float* const own = reinterpret_cast<float*>(room.data());
  float* const sums = s.shared ? own : own + s.panel_size();
  const View* const bias = call.in_count > 2 ? &call.in[2] : nullptr;
  alignas(64) float lines[4][S::line];
  PooledLines<A> pooled;

  for (std::int64_t p = first_panel; p < end_panel; ++p) {
    const Panel<A> panel = panel_at<A>(s, call.in[0], p);
    const std::int64_t vectors = panel.tiles > S::lanes ? 2 : 1;
    const float* const sources = s.shared ? s.shared_sources(call, scratch, group, p) : own;
    if (!s.shared) transform_sources<A>(s, panel, call.in[0], group, 0, s.channels, own);
    for (std::int64_t i = first_row_tile; i < end_row_tile; ++i) {
      const std::int64_t row = s.row_tiles.begin(i);
      const std::int64_t rows = s.row_tiles.begin(i + 1) - row;
      const auto multiply = tile_table<float, A>()[vectors - 1][rows - 1];
      TileCall<float> tile;
      tile.a_row = 1;
      tile.a_k = rows;
      tile.b_row = width;
      tile.k = s.channels;
      tile.c_row = width;
      for (std::int64_t place = 0; place < S::products; ++place) {
        tile.a = weights + s.weights_at(place, i);
        tile.b = sources + place * s.source_size();
        tile.c = sums + place * rows * width;
        multiply(tile);
      }
      float* const results = call.out[0].as<float>() + (group * s.rows + row) * s.places();
      if (!call.pools) prefetch_results(s, panel, results);
      for (std::int64_t r = 0; r < rows; ++r) {
        const std::int64_t channel = group * s.rows + row + r;
        const float add = bias ? bias->as<const float>()[channel * bias->strides[0]] : 0.0f;
        if (r + 1 < rows && !call.pools) prefetch_results(s, panel, results + (r + 1) * s.places());
        transform_back<A>(sums + r * width, rows * width, vectors, add, lines);
        if (call.pools) {
          pooled.pool(lines, vectors, call);
          pooled.write(panel, call, channel);
          continue;
        }
        for (int j = 0; j < panel.count; ++j) {
          const TileRun& run = panel.runs[j];
          const std::int64_t count = std::min(run.count * 4, s.x.dest - run.across * 4);
          float* to = results + (run.image * s.groups * s.rows + r) * s.places() +
                      run.down * 4 * s.x.dest + run.across * 4;
          const std::int64_t height = std::min<std::int64_t>(4, s.y.dest - run.down * 4);
          for (std::int64_t q = 0; q < height; ++q, to += s.x.dest)
            write_row<float, A>(lines[q] + run.at * 4, count, to);
        }
      }
      if (call.segment) go_on<A>(s, panel, call, group, row, rows);
    }
  }
}

/// Whether the transforms cost less than the products that they save. Costs are counted in
/// multiplications of a vector; the factors are measured, and by shape alone.
template <class A>
bool pays(const Tiling<A>& s) noexcept {
  if (s.y.taps != 3 || s.x.taps != 3 || s.y.step != 1 || s.x.step != 1 || s.y.insert != 1 ||
      s.x.insert != 1 || s.y.dilation != 1 || s.x.dilation != 1)
    return false;
  // Errors of fewer channels are not averaged out.
  if (s.channels < 8 || s.rows < 8 || s.grid.tiles == 0) return false;
  const auto channels = static_cast<double>(s.channels);
  const auto rows = static_cast<double>(s.rows);
  const auto vectors = static_cast<double>(ceil_div(s.grid.tiles, s.lanes));
  const double plain = 1.2 * 9 * channels * rows * s.images * s.places() / s.lanes;
  const double products = 1.2 * 36 * channels * rows * vectors;
  const double transforms =
      480 * channels * rows / s.lanes + (400 * channels + 230 * rows) * vectors;
  return products + transforms < plain;
}

}  // namespace

template <class A>
bool plan_winograd(const KernelCall& call, CorrelationKind kind, Plan& plan) {
  Tiling<A> s(Correlation<A>::of(call, kind));
  if (!pays(s)) return false;
  s.cut(kind, plan);
  const std::int64_t weight_chunks = s.groups * s.row_tiles.count;
  if (call.packs) {
    plan.packed_bytes = plan.scratch_bytes = s.weights_bytes();
    plan.cost_ns = 100 + 8.0 * s.groups * s.rows * s.channels;
    plan.add(&run_weights<A>, weight_chunks);
    return true;
  }
  plan.scratch_bytes = (call.packed ? 0 : s.weights_bytes()) + s.shared_bytes() +
                       Room<A>::head_bytes + static_cast<std::size_t>(s.rooms) * s.room_bytes();
  plan.cost_ns = 100 + 2.5 * 36 * s.groups * s.rows * s.channels * s.grid.tiles / flops_per_ns;
  plan.ends_with_segment = true;
  plan.pools = true;
  plan.add(
      &run_first<A>,
      std::max<std::int64_t>((call.packed ? 0 : weight_chunks) + s.source_chunks(), 1));
  plan.add(&run_panels<A>, s.chunks());
  return true;
}

template bool plan_winograd<Arch>(const KernelCall&, CorrelationKind, Plan&);

}  // namespace troupe::cpu
