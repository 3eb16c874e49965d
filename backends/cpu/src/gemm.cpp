#include "gemm.hpp"

#include "gemm_pack.hpp"
#include "gemm_panel.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <utility>

namespace troupe::cpu {
namespace {

template <class T, class A, int V, int... R>
constexpr auto tiles_of(std::integer_sequence<int, R...>) {
  return std::array<TileFunction<T>, sizeof...(R)>{&multiply_tile<T, A, R + 1, V>...};
}

}  // namespace

template <class T, class A>
const TileTable<T, A>& tile_table() noexcept {
  using Rows = std::make_integer_sequence<int, Tile<T, A>::rows>;
  static constexpr TileTable<T, A> table{tiles_of<T, A, 1>(Rows{}), tiles_of<T, A, 2>(Rows{})};
  return table;
}

namespace {

/// How a product is cut, kept in the plan's numbers.
struct Blocks {
  std::int64_t tiles;     ///< tiles of rows in a chunk
  std::int64_t panels;    ///< panels of columns in a chunk
  std::int64_t matrices;  ///< matrices in a chunk; more than one only where a chunk has all of each
  bool a_packed;          ///< a phase packs all of A
  bool b_packed;          ///< a phase packs all of B; else each chunk packs what it uses
  bool b_direct;          ///< tiles read B where it lies
};

constexpr std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

void store(const Product& p, const Blocks& b, Plan& plan) {
  const std::int64_t flags = b.a_packed | b.b_packed << 1 | b.b_direct << 2;
  plan.numbers = {
      p.m,
      p.n,
      p.k,
      p.batch,
      p.a_row,
      p.a_k,
      p.b_k,
      p.b_column,
      b.tiles,
      b.panels,
      b.matrices,
      flags};
}

/// A planned product with everything that follows from its numbers.
template <class T, class A>
struct Cut : Product, Blocks {
  using T_ = Tile<T, A>;

  explicit Cut(const Plan& plan) noexcept
      : Cut(product_in<A>(plan),
            Blocks{
                plan.numbers[8],
                plan.numbers[9],
                plan.numbers[10],
                (plan.numbers[11] & 1) != 0,
                (plan.numbers[11] & 2) != 0,
                (plan.numbers[11] & 4) != 0}) {}
  Cut(const Product& product, const Blocks& blocks) noexcept
      : Product(product),
        Blocks(blocks),
        row_tiles(RowTiles<A>::cut(m, T_::rows)),
        column_panels(ceil_div(n, T_::columns)),
        depth_blocks(std::max<std::int64_t>(1, ceil_div(k, T_::depth))) {}

  [[nodiscard]] std::int64_t depth_begin(std::int64_t block) const noexcept {
    return block * k / depth_blocks;
  }
  [[nodiscard]] std::int64_t row_blocks() const noexcept {
    return ceil_div(row_tiles.count, tiles);
  }
  [[nodiscard]] std::int64_t column_blocks() const noexcept {
    return ceil_div(column_panels, panels);
  }
  /// Elements of a packed matrix, rounded up to whole cache lines.
  [[nodiscard]] std::int64_t a_packed_size() const noexcept { return line_up(m * k); }
  [[nodiscard]] std::int64_t b_packed_size() const noexcept {
    return line_up(column_panels * T_::columns * k);
  }
  static std::int64_t line_up(std::int64_t elements) noexcept {
    constexpr std::int64_t line = 64 / sizeof(T);
    return (elements + line - 1) / line * line;
  }

  RowTiles<A> row_tiles;
  std::int64_t column_panels;
  std::int64_t depth_blocks;
};

/// Elements that one chunk of the packing phase packs.
constexpr std::int64_t pack_chunk = 64 * 1024;

template <class T, class A>
struct PackChunks {
  explicit PackChunks(const Cut<T, A>& cut) noexcept
      : tiles(clamp(cut.row_tiles.count, cut.k * Tile<T, A>::rows)),
        panels(clamp(cut.column_panels, cut.k * Tile<T, A>::columns)),
        a_each(cut.a_packed ? ceil_div(cut.row_tiles.count, tiles) : 0),
        b_each(cut.b_packed ? ceil_div(cut.column_panels, panels) : 0) {}
  static std::int64_t clamp(std::int64_t count, std::int64_t size) noexcept {
    return std::clamp<std::int64_t>(pack_chunk / std::max<std::int64_t>(size, 1), 1, count);
  }

  std::int64_t tiles;   ///< of A in a chunk
  std::int64_t panels;  ///< of B in a chunk
  std::int64_t a_each;  ///< chunks for A in a matrix
  std::int64_t b_each;
};

/// Packs A as [matrix][depth block][tile][k][row] and B as [matrix][depth block][panel][k][column].
template <class T, class A>
void run_pack(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  const Cut<T, A> cut(plan);
  const PackChunks<T, A> chunks(cut);
  const std::int64_t matrix = chunk / (chunks.a_each + chunks.b_each);
  std::int64_t part = chunk % (chunks.a_each + chunks.b_each);
  const BatchOffsets offsets = cut.batch > 1 ? batch_offsets<A>(call, matrix) : BatchOffsets{};
  T* const a_to = reinterpret_cast<T*>(scratch) + matrix * cut.a_packed_size();
  T* const b_to = reinterpret_cast<T*>(scratch) +
                  (cut.a_packed ? cut.batch * cut.a_packed_size() : 0) +
                  matrix * cut.b_packed_size();

  for (std::int64_t block = 0; block < cut.depth_blocks; ++block) {
    const std::int64_t k0 = cut.depth_begin(block);
    const std::int64_t k = cut.depth_begin(block + 1) - k0;
    if (part < chunks.a_each) {
      const T* a = call.in[0].as<const T>() + offsets.a + k0 * cut.a_k;
      const std::int64_t end = std::min((part + 1) * chunks.tiles, cut.row_tiles.count);
      for (std::int64_t tile = part * chunks.tiles; tile < end; ++tile) {
        const std::int64_t row = cut.row_tiles.begin(tile);
        const std::int64_t rows = cut.row_tiles.begin(tile + 1) - row;
        pack_rows<T, A>(
            a + row * cut.a_row, cut.a_row, cut.a_k, rows, k, a_to + k0 * cut.m + row * k);
      }
    } else {
      constexpr std::int64_t width = Tile<T, A>::columns;
      const T* b = call.in[1].as<const T>() + offsets.b + k0 * cut.b_k;
      const std::int64_t first = (part - chunks.a_each) * chunks.panels;
      const std::int64_t end = std::min(first + chunks.panels, cut.column_panels);
      for (std::int64_t panel = first; panel < end; ++panel) {
        const std::int64_t column = panel * width;
        pack_columns<T, A>(
            b + column * cut.b_column,
            cut.b_k,
            cut.b_column,
            std::min(width, cut.n - column),
            k,
            b_to + k0 * cut.column_panels * width + column * k);
      }
    }
  }
}

/// Rows, columns and depth up to which a product is one chunk.
template <class T, class A>
constexpr std::int64_t small_max = 64;

/// Elements of C that a chunk keeps on its stack between blocks of depth.
template <class T>
constexpr std::int64_t sums_max = 80 * 1024 / sizeof(T);

/// Computes a block of rows and columns of one matrix, or all of several matrices.
///
/// `Carried`: sums wait on the stack for the next block of depth, side by side, for rows of C may
/// lie a page apart.
template <class T, class A, bool Carried>
void run_product(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  constexpr std::int64_t width = Tile<T, A>::columns;
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  const Cut<T, A> cut(plan);
  const std::int64_t blocks = cut.row_blocks() * cut.column_blocks();
  const std::int64_t row_block = chunk % blocks / cut.column_blocks();
  const std::int64_t column_block = chunk % cut.column_blocks();
  const std::int64_t first_tile = row_block * cut.tiles;
  const std::int64_t end_tile = std::min(first_tile + cut.tiles, cut.row_tiles.count);
  const std::int64_t first_panel = column_block * cut.panels;
  const std::int64_t end_panel = std::min(first_panel + cut.panels, cut.column_panels);
  const std::int64_t first_matrix = chunk / blocks * cut.matrices;
  const std::int64_t end_matrix = std::min(first_matrix + cut.matrices, cut.batch);
  const T* const bias = call.in_count > 2 ? call.in[2].as<const T>() : nullptr;
  const std::int64_t bias_step = bias ? call.in[2].strides[0] : 0;
  alignas(64) T panel_bias[width] = {};
  alignas(64) T sums[Carried ? sums_max<T> : 1];
  alignas(64) T panel_buffer[width * Tile<T, A>::depth];

  for (std::int64_t matrix = first_matrix; matrix < end_matrix; ++matrix) {
    const BatchOffsets offsets = cut.batch > 1 ? batch_offsets<A>(call, matrix) : BatchOffsets{};
    const T* const a_packed = reinterpret_cast<const T*>(scratch) + matrix * cut.a_packed_size();
    // What came packed is one matrix for all.
    const T* const b_packed = call.packed
                                  ? reinterpret_cast<const T*>(call.packed)
                                  : reinterpret_cast<const T*>(scratch) +
                                        (cut.a_packed ? cut.batch * cut.a_packed_size() : 0) +
                                        matrix * cut.b_packed_size();
    for (std::int64_t block = 0; block < cut.depth_blocks; ++block) {
      const std::int64_t k0 = cut.depth_begin(block);
      const std::int64_t k = cut.depth_begin(block + 1) - k0;
      const T* const a = cut.a_packed ? a_packed + k0 * cut.m
                                      : call.in[0].as<const T>() + offsets.a + k0 * cut.a_k;
      const T* const b = call.in[1].as<const T>() + offsets.b + k0 * cut.b_k;
      const bool last = block + 1 == cut.depth_blocks;
      for (std::int64_t panel = first_panel; panel < end_panel; ++panel) {
        const std::int64_t column = panel * width;
        const std::int64_t columns = std::min(width, cut.n - column);
        TileCall<T> tile;
        tile.a_row = cut.a_row;
        tile.a_k = cut.a_k;
        tile.k = k;
        tile.c = call.out[0].as<T>() + matrix * cut.m * cut.n + column;
        tile.c_row = cut.n;
        if (last && bias) {
          for (std::int64_t j = 0; j < columns; ++j) panel_bias[j] = bias[(column + j) * bias_step];
          tile.column_bias = panel_bias;
        }
        if (cut.b_packed || call.packed) {
          tile.b = b_packed + k0 * cut.column_panels * width + column * k;
          tile.b_row = width;
        } else if (cut.b_direct && (Tile<T, A>::cuts_rows || columns % lanes == 0)) {
          tile.b = b + column;
          tile.b_row = cut.b_k;
        } else {
          pack_columns<T, A>(
              b + column * cut.b_column, cut.b_k, cut.b_column, columns, k, panel_buffer);
          tile.b = panel_buffer;
          tile.b_row = width;
        }
        const std::int64_t rows = cut.row_tiles.begin(end_tile) - cut.row_tiles.begin(first_tile);
        multiply_panels<T, A>(
            tile,
            cut.row_tiles,
            first_tile,
            end_tile,
            LeftRows<T>{a, cut.a_packed},
            columns,
            Carry<T>{
                block == 0, last, Carried ? sums + (panel - first_panel) * rows * width : nullptr});
      }
    }
    if (!call.segment) continue;
    const std::int64_t first_column = first_panel * width;
    const std::int64_t end_column = std::min(end_panel * width, cut.n);
    const std::int64_t first_row = matrix * cut.m + cut.row_tiles.begin(first_tile);
    const std::int64_t end_row = matrix * cut.m + cut.row_tiles.begin(end_tile);
    call.run_segment_rows(
        *call.segment,
        first_row * cut.n + first_column,
        end_row - first_row,
        cut.n,
        end_column - first_column);
  }
}

/// Cuts by shape; what is packed may depend on the layout, for it changes no bits.
template <class T, class A>
Blocks cut_blocks(const Product& p) noexcept {
  using T_ = Tile<T, A>;
  const double flops = 2.0 * p.m * p.n * p.k;
  const std::int64_t row_tiles = RowTiles<A>::cut(p.m, T_::rows).count;
  const std::int64_t column_panels = ceil_div(p.n, T_::columns);
  Blocks blocks{};

  // B: with some rows each chunk takes all of them, and reads B where it lies or packs its own
  // columns; with many it is packed once for all chunks. Rows that lie a power of two apart fall on
  // the same few sets of the caches, so that nothing read by one tile is left for the next.
  const bool b_spread = p.b_k * sizeof(T) % 4096 == 0;
  blocks.b_packed = p.m > 256;
  blocks.b_direct = !blocks.b_packed && p.b_column == 1 && (!b_spread || p.m <= 2 * T_::rows);
  // A: likewise; a tile reads several rows side by side along k, or their k-th elements where those
  // are neighbors.
  const bool a_lies = p.a_k == 1 || p.a_row == 1;
  const bool a_spread = !a_lies || std::max(p.a_k, p.a_row) * sizeof(T) % 2048 == 0;
  blocks.a_packed = a_spread && p.k > T_::lanes && p.n > 2 * T_::columns && p.m > 1;

  if (flops < chunk_flops<A>(flops * p.batch)) {
    blocks.tiles = row_tiles;
    blocks.panels = column_panels;
    blocks.matrices = std::clamp<std::int64_t>(
        chunk_flops<A>(flops * p.batch) / std::max(flops, 1.0), 1, p.batch);
    return blocks;
  }
  blocks.matrices = 1;
  const double target = chunk_flops<A>(flops * p.batch);
  blocks.tiles = row_tiles;
  if (blocks.b_packed) {
    // Near a square, which reads least of A and B for what it computes, and no more of A than
    // leaves room in the second-level cache.
    const double rows = std::clamp(std::sqrt(target / (2.0 * p.k)), 48.0, 144.0);
    blocks.tiles =
        std::clamp<std::int64_t>(static_cast<std::int64_t>(rows) / T_::rows, 1, row_tiles);
  }
  const double panel_flops = 2.0 * p.m * blocks.tiles / row_tiles * p.k * T_::columns;
  blocks.panels = std::clamp<std::int64_t>(target / panel_flops, 1, column_panels);
  if (blocks.b_packed)
    blocks.panels = std::min(
        blocks.panels,
        std::max<std::int64_t>(sums_max<T> / (blocks.tiles * T_::rows * T_::columns), 1));
  // Even shares: 13 panels in blocks of at most 8 are 7 and 6.
  blocks.panels = ceil_div(column_panels, ceil_div(column_panels, blocks.panels));
  blocks.tiles = ceil_div(row_tiles, ceil_div(row_tiles, blocks.tiles));
  return blocks;
}

/// Plans the packing of one B. What it makes depends on B's own sizes alone.
template <class T, class A>
void plan_packing(const Product& product, Plan& plan) noexcept {
  Blocks blocks{};
  blocks.b_packed = true;
  const Cut<T, A> cut(product, blocks);
  store(product, blocks, plan);
  plan.packed_bytes = plan.scratch_bytes = sizeof(T) * cut.b_packed_size();
  plan.cost_ns = 0.3 * product.n * product.k + 50;
  plan.add(&run_pack<T, A>, PackChunks<T, A>(cut).b_each);
}

/// A product so small that cutting it would cost as much as computing it: one chunk, one block of
/// depth, operands read where they lie but for columns of B that are not rows of memory.
template <class T, class A>
void run_small(const KernelCall& call, const Plan& plan, std::uint32_t, std::byte*) {
  constexpr std::int64_t width = Tile<T, A>::columns;
  constexpr std::int64_t lanes = Tile<T, A>::lanes;
  // Not copied: a copy by wide loads would wait for the narrow stores that wrote these just now.
  const auto& [m, n, k, batch, a_row, a_k, b_k, b_column, unused_0, unused_1, unused_2, unused_3] =
      plan.numbers;
  const T* const b = call.in[1].as<const T>();
  const bool biased = call.in_count > 2;
  const RowTiles<A> row_tiles = RowTiles<A>::cut(m, Tile<T, A>::rows);
  alignas(64) T panel_bias[width];
  alignas(64) T panel_buffer[width * small_max<T, A>];
  TileCall<T> tile;
  tile.a_row = a_row;
  tile.a_k = a_k;
  tile.k = k;
  tile.c_row = n;
  for (std::int64_t column = 0; column < n; column += width) {
    const std::int64_t columns = std::min(width, n - column);
    if (biased) {
      const T* const bias = call.in[2].as<const T>();
      const std::int64_t bias_step = call.in[2].strides[0];
      for (std::int64_t j = 0; j < width; ++j)
        panel_bias[j] = j < columns ? bias[(column + j) * bias_step] : T(0);
      tile.column_bias = panel_bias;
    }
    if (b_column == 1 && (Tile<T, A>::cuts_rows || columns % lanes == 0)) {
      tile.b = b + column;
      tile.b_row = b_k;
    } else {
      pack_columns<T, A>(b + column * b_column, b_k, b_column, columns, k, panel_buffer);
      tile.b = panel_buffer;
      tile.b_row = width;
    }
    tile.c = call.out[0].as<T>() + column;
    if constexpr (!Tile<T, A>::cuts_rows) {
      const LeftRows<T> left{call.in[0].as<const T>(), false};
      multiply_panels<T, A>(tile, row_tiles, 0, row_tiles.count, left, columns, Carry<T>{});
      continue;
    }
    tile.a = call.in[0].as<const T>();
    tile.columns = columns;
    const auto& functions = tile_table<T, A>()[columns > lanes];
    for (std::int64_t i = 0, row = 0; i < row_tiles.count; ++i) {
      const std::int64_t rows = row_tiles.begin(i + 1) - row;
      functions[rows - 1](tile);
      tile.a += rows * a_row;
      tile.c += rows * n;
      row += rows;
    }
  }
}

}  // namespace

template <class T, class A>
void plan_product(const KernelCall& call, const Product& product, Plan& plan) {
  if (product.m * product.n * product.batch == 0) return;
  if (product.batch == 1 && product.k <= small_max<T, A> && product.m <= small_max<T, A> &&
      product.n <= small_max<T, A>) {
    store(product, {}, plan);
    plan.cost_ns = 2.0 * product.m * product.n * product.k / flops_per_ns + 50;
    plan.add(&run_small<T, A>, 1);
    return;
  }
  Blocks blocks = cut_blocks<T, A>(product);
  if (call.packs) {
    if (product.batch == 1) plan_packing<T, A>(product, plan);
    return;
  }
  if (call.packed) blocks.b_packed = false;
  const Cut<T, A> cut(product, blocks);
  store(product, blocks, plan);
  plan.cost_ns = 2.0 * product.m * product.n * product.k * product.batch / flops_per_ns + 50;
  if (blocks.a_packed || blocks.b_packed) {
    const PackChunks<T, A> chunks(cut);
    plan.add(&run_pack<T, A>, product.batch * (chunks.a_each + chunks.b_each));
    plan.scratch_bytes =
        sizeof(T) * product.batch *
        ((blocks.a_packed ? cut.a_packed_size() : 0) + (blocks.b_packed ? cut.b_packed_size() : 0));
  }
  const std::int64_t chunk_rows =
      std::min(product.m, blocks.tiles * ceil_div(product.m, cut.row_tiles.count));
  const bool carried =
      cut.depth_blocks > 1 && chunk_rows * blocks.panels * Tile<T, A>::columns <= sums_max<T>;
  plan.add(
      carried ? &run_product<T, A, true> : &run_product<T, A, false>,
      ceil_div(product.batch, blocks.matrices) * cut.row_blocks() * cut.column_blocks());
  plan.ends_with_segment = true;
}

template <class A>
void multiply_exactly(
    const KernelCall& call,
    const Product& product,
    const BatchOffsets& offsets,
    std::int64_t row,
    std::int64_t rows,
    std::int64_t column,
    std::int64_t columns,
    float* c) noexcept {
  constexpr std::int64_t width = Tile<float, A>::columns;
  alignas(64) float panel[width * Tile<float, A>::depth];
  alignas(64) float panel_bias[width] = {};
  const RowTiles<A> row_tiles = RowTiles<A>::cut(rows, Tile<float, A>::rows);
  const float* const a = call.in[0].as<const float>() + offsets.a + row * product.a_row;
  const float* const b = call.in[1].as<const float>() + offsets.b;
  for (std::int64_t done = 0; done < columns; done += width) {
    const std::int64_t first = column + done;
    const std::int64_t some = std::min(width, columns - done);
    std::int64_t k0 = 0;
    do {
      const std::int64_t k = std::min(Tile<float, A>::depth, product.k - k0);
      const bool last = k0 + k == product.k;
      const float* const from = b + k0 * product.b_k + first * product.b_column;
      pack_columns<float, A>(from, product.b_k, product.b_column, some, k, panel);
      TileCall<float> tile;
      tile.a_row = product.a_row;
      tile.a_k = product.a_k;
      tile.b = panel;
      tile.b_row = width;
      tile.k = k;
      tile.c = c + done;
      tile.c_row = product.n;
      if (call.in_count > 2) {
        const View& bias = call.in[2];
        for (std::int64_t j = 0; j < some; ++j)
          panel_bias[j] = bias.as<const float>()[(first + j) * bias.strides[0]];
        tile.column_bias = panel_bias;
      }
      const LeftRows<float> left{a + k0 * product.a_k, false};
      multiply_panels<float, A>(
          tile, row_tiles, 0, row_tiles.count, left, some, Carry<float>{k0 == 0, last, nullptr});
      k0 += k;
    } while (k0 < product.k);
  }
}

template void multiply_exactly<Arch>(
    const KernelCall& call,
    const Product& product,
    const BatchOffsets& offsets,
    std::int64_t row,
    std::int64_t rows,
    std::int64_t column,
    std::int64_t columns,
    float* c) noexcept;
template const TileTable<float, Arch>& tile_table<float, Arch>() noexcept;
template const TileTable<double, Arch>& tile_table<double, Arch>() noexcept;
template void plan_product<float, Arch>(const KernelCall&, const Product&, Plan&);
template void plan_product<double, Arch>(const KernelCall&, const Product&, Plan&);

}  // namespace troupe::cpu
