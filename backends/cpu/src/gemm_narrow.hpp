#pragma once

#include "gemm.hpp"
#include "narrow_pack.hpp"
#include "narrow_rows.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <type_traits>

/// Products whose factors are bfloat16, or float32 rounded to such, on `Unit`: vdpbf16ps
/// (narrow_dot.hpp). Compiled for processors with AVX-512 and its bfloat16 extension only.
namespace troupe::cpu {

/// What a unit computes at once: sums of products of pairs, some rows by one panel of columns.
struct NarrowTile {
  const std::byte* a = nullptr;  ///< packed as the unit wants it, or where it lies
  std::int64_t a_row = 0;        ///< bytes between rows; of no matter where the unit packs A
  std::int64_t a_pair = 0;       ///< bytes between pairs; likewise
  const Pair* b = nullptr;       ///< a packed panel
  std::int64_t pairs = 0;
  const float* from = nullptr;  ///< where sums start, rows of a panel's width; null: at 0
  float* sums = nullptr;        ///< where they wait for the next block of depth; null: they go to C
  void* c = nullptr;
  std::int64_t c_row = 0;  ///< elements
  std::int64_t columns = 0;
  const float* bias = nullptr;  ///< one for each column, added to complete sums; null: none
};

/// How such a product is cut.
template <class Unit, class In>
struct NarrowCut : Product {
  using Element = In;
  /// Pairs in a block of depth: 1,024 elements, as bytes the depth of a block of float32.
  static constexpr std::int64_t block_pairs = 512;
  /// Sums that a chunk keeps on its stack between blocks of depth.
  static constexpr std::int64_t sums_max = 80 * 1024 / sizeof(float);
  /// Rows up to which a chunk takes all of them and packs its own columns.
  static constexpr std::int64_t own_rows_max = 256;

  NarrowCut(const Product& product, bool a_where_it_lies, bool operands_swapped) noexcept
      : Product(product), a_direct(a_where_it_lies), swapped(operands_swapped) {
    derive();
    b_packed = !std::is_same_v<In, BFloat16> || m > own_rows_max;
    const double flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) *
                         static_cast<double>(std::max<std::int64_t>(k, 1));
    const double all = flops * static_cast<double>(batch);
    const double target = chunk_flops<Unit>(all);
    tiles = row_tiles;
    if (flops < target) {
      matrices = std::clamp<std::int64_t>(static_cast<std::int64_t>(target / flops), 1, batch);
      panels = column_panels;
    } else {
      if (b_packed)
        tiles = std::clamp<std::int64_t>(
            static_cast<std::int64_t>(
                std::clamp(std::sqrt(target / (2.0 * static_cast<double>(k))), 48.0, 144.0)) /
                Unit::rows,
            1,
            row_tiles);
      const double panel_flops = flops / static_cast<double>(n) * panel_columns *
                                 static_cast<double>(tiles) / static_cast<double>(row_tiles);
      panels = std::clamp<std::int64_t>(
          static_cast<std::int64_t>(target / panel_flops), 1, column_panels);
    }
    if (blocks > 1) {
      tiles = std::min(tiles, sums_max / (Unit::rows * panel_columns));
      panels = std::clamp<std::int64_t>(sums_max / (tiles * Unit::rows * panel_columns), 1, panels);
    }
    // Even shares.
    panels = ceil_div(column_panels, ceil_div(column_panels, panels));
    tiles = ceil_div(row_tiles, ceil_div(row_tiles, tiles));
    if (tiles < row_tiles || panels < column_panels) matrices = 1;
  }
  explicit NarrowCut(const Plan& plan) noexcept : Product(product_in<Unit>(plan)) {
    const auto& number = plan.numbers;
    tiles = number[8];
    panels = number[9];
    matrices = number[10];
    a_direct = (number[11] & 1) != 0;
    b_packed = (number[11] & 2) != 0;
    swapped = (number[11] & 4) != 0;
    derive();
  }
  void store(Plan& plan) const noexcept {
    plan.numbers = {
        m,
        n,
        k,
        batch,
        a_row,
        a_k,
        b_k,
        b_column,
        tiles,
        panels,
        matrices,
        a_direct | b_packed << 1 | swapped << 2};
  }

  static std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept { return (a + b - 1) / b; }

  [[nodiscard]] std::int64_t row_blocks() const noexcept { return ceil_div(row_tiles, tiles); }
  [[nodiscard]] std::int64_t column_blocks() const noexcept {
    return ceil_div(column_panels, panels);
  }
  [[nodiscard]] std::int64_t row_begin(std::int64_t tile) const noexcept {
    return Unit::row_begin(tile, row_tiles, m);
  }

  // Scratch: packed A, then packed B, of all matrices each.
  [[nodiscard]] std::int64_t a_size() const noexcept { return a_direct ? 0 : m * packed_pairs; }
  [[nodiscard]] std::int64_t b_size() const noexcept {
    return b_packed ? column_panels * panel_columns * packed_pairs : 0;
  }
  [[nodiscard]] std::int64_t scratch_bytes() const noexcept {
    return batch * (a_size() + b_size()) * static_cast<std::int64_t>(sizeof(Pair));
  }
  [[nodiscard]] Pair* a_packed(std::byte* scratch, std::int64_t matrix) const noexcept {
    return reinterpret_cast<Pair*>(scratch) + matrix * a_size();
  }
  [[nodiscard]] Pair* b_packed_at(std::byte* scratch, std::int64_t matrix) const noexcept {
    return reinterpret_cast<Pair*>(scratch) + batch * a_size() + matrix * b_size();
  }

  std::int64_t row_tiles = 0;
  std::int64_t column_panels = 0;
  std::int64_t pairs = 0;         ///< of the depth
  std::int64_t packed_pairs = 0;  ///< rounded up to whole steps of packing
  std::int64_t blocks = 0;        ///< of depth
  std::int64_t tiles = 0;         ///< of rows in a chunk
  std::int64_t panels = 0;        ///< of columns in a chunk
  std::int64_t matrices = 1;      ///< in a chunk; several only where it has all of each
  bool a_direct = false;          ///< A is read where it lies
  bool b_packed = false;          ///< a phase packs B; else each chunk what it uses
  bool swapped = false;           ///< A is the call's second input: its only column, as a row

 private:
  void derive() noexcept {
    row_tiles = ceil_div(m, Unit::rows);
    column_panels = ceil_div(n, panel_columns);
    pairs = ceil_div(k, 2);
    packed_pairs = ceil_div(pairs, pack_pairs) * pack_pairs;
    blocks = std::max<std::int64_t>(1, ceil_div(pairs, block_pairs));
  }
};

/// Where A and B of a call begin.
template <class Cut>
const typename Cut::Element* left_of(const KernelCall& call, const Cut& cut) noexcept {
  return static_cast<const typename Cut::Element*>(call.in[cut.swapped ? 1 : 0].data);
}
template <class Cut>
const typename Cut::Element* right_of(const KernelCall& call, const Cut& cut) noexcept {
  return static_cast<const typename Cut::Element*>(call.in[cut.swapped ? 0 : 1].data);
}

/// How the packing phase is cut: tiles of A and panels of B in a chunk, chunks of each.
template <class Unit, class Cut>
struct NarrowPacking {
  explicit NarrowPacking(const Cut& cut) noexcept
      : tiles(each(cut.row_tiles, cut.k * Unit::rows)),
        panels(each(cut.column_panels, cut.k * panel_columns)),
        a_chunks(cut.a_direct ? 0 : Cut::ceil_div(cut.row_tiles, tiles)),
        b_chunks(cut.b_packed ? Cut::ceil_div(cut.column_panels, panels) : 0) {}
  static std::int64_t each(std::int64_t count, std::int64_t elements) noexcept {
    constexpr std::int64_t chunk = 64 * 1024;
    return std::clamp<std::int64_t>(
        chunk / std::max<std::int64_t>(elements, 1), 1, std::max<std::int64_t>(count, 1));
  }

  std::int64_t tiles;
  std::int64_t panels;
  std::int64_t a_chunks;
  std::int64_t b_chunks;
};

template <class Unit, class In>
void run_narrow_pack(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using Cut = NarrowCut<Unit, In>;
  const Cut cut(plan);
  const NarrowPacking<Unit, Cut> packing(cut);
  const std::int64_t matrix = chunk / (packing.a_chunks + packing.b_chunks);
  const std::int64_t part = chunk % (packing.a_chunks + packing.b_chunks);
  const BatchOffsets offsets = cut.batch > 1 ? batch_offsets<Unit>(call, matrix) : BatchOffsets{};
  if (part < packing.a_chunks) {
    const In* const a = left_of<Cut>(call, cut) + offsets.a;
    Pair* const to = cut.a_packed(scratch, matrix);
    const std::int64_t end = std::min((part + 1) * packing.tiles, cut.row_tiles);
    for (std::int64_t tile = part * packing.tiles; tile < end; ++tile) {
      const std::int64_t row = cut.row_begin(tile);
      const Lines<In> lines{a + row * cut.a_row, cut.a_row, cut.a_k};
      Unit::template pack_rows<In>(
          lines, cut.row_begin(tile + 1) - row, cut.k, to + row * cut.packed_pairs);
    }
    return;
  }
  const In* const b = right_of<Cut>(call, cut) + offsets.b;
  Pair* const to = cut.b_packed_at(scratch, matrix);
  const std::int64_t panel_size = panel_columns * cut.packed_pairs;
  const std::int64_t first = (part - packing.a_chunks) * packing.panels;
  const std::int64_t end = std::min(first + packing.panels, cut.column_panels);
  for (std::int64_t panel = first; panel < end; ++panel) {
    const std::int64_t column = panel * panel_columns;
    pack_panel<Unit, In>(
        Lines<In>{b + column * cut.b_column, cut.b_column, cut.b_k},
        cut.n - column,
        cut.k,
        to + panel * panel_size);
  }
}

/// Computes a block of rows and columns of one matrix, or all of several matrices.
template <class Unit, class In, class Out>
void run_narrow_product(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using Cut = NarrowCut<Unit, In>;
  const Cut cut(plan);
  const std::int64_t blocks = cut.row_blocks() * cut.column_blocks();
  const std::int64_t first_tile = chunk % blocks / cut.column_blocks() * cut.tiles;
  const std::int64_t end_tile = std::min(first_tile + cut.tiles, cut.row_tiles);
  const std::int64_t first_panel = chunk % cut.column_blocks() * cut.panels;
  const std::int64_t end_panel = std::min(first_panel + cut.panels, cut.column_panels);
  const std::int64_t first_matrix = chunk / blocks * cut.matrices;
  const std::int64_t end_matrix = std::min(first_matrix + cut.matrices, cut.batch);
  const std::int64_t first_row = cut.row_begin(first_tile);
  const std::int64_t rows = cut.row_begin(end_tile) - first_row;
  const std::int64_t panel_size = panel_columns * cut.packed_pairs;
  const bool biased = call.in_count > 2;
  alignas(64) float bias[panel_columns];
  alignas(64) float sums[Cut::sums_max];
  alignas(64) Pair panel_buffer[Cut::block_pairs * panel_columns];
  Unit unit;

  for (std::int64_t matrix = first_matrix; matrix < end_matrix; ++matrix) {
    const BatchOffsets offsets = cut.batch > 1 ? batch_offsets<Unit>(call, matrix) : BatchOffsets{};
    const Pair* const a_packed = cut.a_packed(scratch, matrix);
    const Pair* const b_packed = cut.b_packed_at(scratch, matrix);
    const In* const a = left_of<Cut>(call, cut) + offsets.a;
    const In* const b = right_of<Cut>(call, cut) + offsets.b;
    Out* const c = call.out[0].as<Out>() + matrix * cut.m * cut.n;
    for (std::int64_t block = 0; block < cut.blocks; ++block) {
      const std::int64_t pair = block * Cut::block_pairs;
      const bool last = block + 1 == cut.blocks;
      NarrowTile tile;
      tile.pairs = std::min(cut.pairs - pair, Cut::block_pairs);
      tile.c_row = cut.n;
      for (std::int64_t panel = first_panel; panel < end_panel; ++panel) {
        const std::int64_t column = panel * panel_columns;
        tile.columns = std::min(panel_columns, cut.n - column);
        if (cut.b_packed) {
          tile.b = b_packed + panel * panel_size + pair * panel_columns;
        } else {
          pack_panel<Unit, In>(
              Lines<In>{b + column * cut.b_column + 2 * pair * cut.b_k, cut.b_column, cut.b_k},
              tile.columns,
              std::min(cut.k - 2 * pair, 2 * Cut::block_pairs),
              panel_buffer);
          tile.b = panel_buffer;
        }
        if (last && biased) {
          // One column that became a row: the bias is one number, for all.
          load_bias<Unit, Out>(call.in[2], column, cut.swapped ? 0 : 1, tile.columns, bias);
          tile.bias = bias;
        }
        float* at = sums + (panel - first_panel) * rows * panel_columns;
        for (std::int64_t i = first_tile; i < end_tile; ++i) {
          const std::int64_t row = cut.row_begin(i);
          const std::int64_t height = cut.row_begin(i + 1) - row;
          float* const own = at + (row - first_row) * panel_columns;
          tile.c = c + row * cut.n + column;
          if (cut.a_direct) {
            tile.a = reinterpret_cast<const std::byte*>(a + row * cut.a_row + 2 * pair);
            tile.a_row = cut.a_row * static_cast<std::int64_t>(sizeof(In));
            tile.a_pair = sizeof(Pair);
          } else {
            Unit::place_rows(a_packed + row * cut.packed_pairs, height, pair, tile);
          }
          tile.from = block == 0 ? nullptr : own;
          tile.sums = last ? nullptr : own;
          unit.template multiply<Out>(tile, height);
        }
      }
    }
    if (!call.segment) continue;
    const std::int64_t first_column = first_panel * panel_columns;
    const std::int64_t end_column = std::min(end_panel * panel_columns, cut.n);
    call.run_segment_rows(
        *call.segment,
        (matrix * cut.m + first_row) * cut.n + first_column,
        cut.row_begin(end_tile) - first_row,
        cut.n,
        end_column - first_column);
  }
}

/// Plans the product by a unit for pairs. Every element is added up in an order that depends on k
/// alone.
template <class Unit, class In, class Out>
void plan_narrow(Product product, Plan& plan) {
  if (product.m * product.n * product.batch == 0) return;
  // One column: a row, seen from the other side.
  const bool swapped = product.n == 1 && product.m > 1 && product.batch == 1;
  if (swapped) product = {1, product.m, product.k, 1, 0, product.b_k, product.a_k, product.a_row};
  using Cut = NarrowCut<Unit, In>;
  const bool direct = std::is_same_v<In, BFloat16> && product.a_k == 1 && product.k % 2 == 0 &&
                      (product.n <= 2 * panel_columns || product.a_row % 1024 != 0);
  const Cut cut(product, direct, swapped);
  cut.store(plan);
  plan.cost_ns = 2.0 * static_cast<double>(product.m * product.n) *
                     static_cast<double>(product.k * product.batch) / (2 * flops_per_ns) +
                 50;
  plan.scratch_bytes = static_cast<std::size_t>(cut.scratch_bytes());
  const NarrowPacking<Unit, Cut> packing(cut);
  if (packing.a_chunks + packing.b_chunks > 0)
    plan.add(&run_narrow_pack<Unit, In>, cut.batch * (packing.a_chunks + packing.b_chunks));
  plan.add(
      &run_narrow_product<Unit, In, Out>,
      Cut::ceil_div(cut.batch, cut.matrices) * cut.row_blocks() * cut.column_blocks());
  plan.ends_with_segment = true;
}

}  // namespace troupe::cpu
