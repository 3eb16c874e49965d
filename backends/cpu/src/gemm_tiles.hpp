#pragma once

#include "gemm.hpp"
#include "narrow_rows.hpp"
#include "rooms.hpp"
#include "tile_pack.hpp"

#include <algorithm>
#include <cstdint>
#include <type_traits>

/// Products whose factors are bfloat16, or float32 split into such, by tiles of 16 rows and 64
/// bytes. `T` is what holds the tiles: AMX's registers (gemm_amx.cpp), or their emulation in the
/// tests. It is made for a chunk and has `zero<i>()`, `load<i>(address, bytes between rows)`,
/// `store<i>(…)`, and `multiply<sums, a, b>()`, which adds to each sum the products of 16 pairs of
/// a row of a and a column of b. `Set` names the instruction set.
namespace troupe::cpu {

/// A block of C, 32 × 32, and what its sums are made of.
struct TileBlock {
  const Pair* a = nullptr;  ///< packed blocks, step by step
  const Pair* b = nullptr;
  std::int64_t steps = 0;
  std::int64_t rows = 0;        ///< that exist
  std::int64_t columns = 0;     ///< likewise
  const float* from = nullptr;  ///< where sums start; null: at 0
  float* sums = nullptr;        ///< where they wait for the next piece of k; null: they go to C
  void* c = nullptr;
  std::int64_t c_row = 0;       ///< elements
  const float* bias = nullptr;  ///< one for each column, added to complete sums; null: none
};

/// Eight tiles: four of sums, two of A (4, 5) and two of B (6, 7).
template <class Set, class T, int Parts>
class TileUnit {
 public:
  template <class Out>
  void multiply(const TileBlock& block) noexcept {
    if (block.rows > 16)
      block.columns > 16 ? multiply_tiles<Out, 2, 2>(block) : multiply_tiles<Out, 2, 1>(block);
    else
      block.columns > 16 ? multiply_tiles<Out, 1, 2>(block) : multiply_tiles<Out, 1, 1>(block);
  }

 private:
  static constexpr std::int64_t line_bytes = 64;
  static constexpr std::int64_t sum_floats = 16 * 16;  // of a tile

  template <class Out, int R, int C>
  void multiply_tiles(const TileBlock& block) noexcept {
    alignas(64) float own[4 * sum_floats];
    if (block.from) {
      const float* const from = block.from;
      tiles_.template load<0>(from, line_bytes);
      if constexpr (C == 2) tiles_.template load<1>(from + sum_floats, line_bytes);
      if constexpr (R == 2) tiles_.template load<2>(from + 2 * sum_floats, line_bytes);
      if constexpr (R + C == 4) tiles_.template load<3>(from + 3 * sum_floats, line_bytes);
    } else {
      tiles_.template zero<0>();
      if constexpr (C == 2) tiles_.template zero<1>();
      if constexpr (R == 2) tiles_.template zero<2>();
      if constexpr (R + C == 4) tiles_.template zero<3>();
    }
    const Pair* a = block.a;
    const Pair* b = block.b;
    for (std::int64_t step = block.steps; step > 0; --step) {
      multiply_step<R, C>(a, b);
      a += Parts * part_pairs;
      b += Parts * part_pairs;
    }
    float* const sums = block.sums ? block.sums : own;
    tiles_.template store<0>(sums, line_bytes);
    if constexpr (C == 2) tiles_.template store<1>(sums + sum_floats, line_bytes);
    if constexpr (R == 2) tiles_.template store<2>(sums + 2 * sum_floats, line_bytes);
    if constexpr (R + C == 4) tiles_.template store<3>(sums + 3 * sum_floats, line_bytes);
    if (block.sums) return;

    const __m512 low_bias = block.bias ? _mm512_loadu_ps(block.bias) : _mm512_setzero_ps();
    const __m512 high_bias = block.bias ? _mm512_loadu_ps(block.bias + 16) : _mm512_setzero_ps();
    Out* c = static_cast<Out*>(block.c);
    for (std::int64_t i = 0; i < block.rows; ++i, c += block.c_row) {
      const float* const row = own + (i / 16 * 2 * 16 + i % 16) * 16;
      __m512 low = _mm512_load_ps(row);
      __m512 high = C == 2 ? _mm512_load_ps(row + sum_floats) : _mm512_setzero_ps();
      if (block.bias) {
        low = _mm512_add_ps(low, low_bias);
        high = _mm512_add_ps(high, high_bias);
      }
      store_row<TileUnit>(c, low, high, block.columns);
    }
  }

  /// The leading products of parts: those whose numbers add up to less than `Parts`. From one to
  /// the next either A or B stays; tiles add up 32 products before they round to a sum, so that it
  /// is of no matter whether small ones come first.
  template <int R, int C>
  void multiply_step(const Pair* a, const Pair* b) noexcept {
    if constexpr (Parts == 3) {
      load_a<R>(a + 2 * part_pairs);
      load_b<C>(b);
      multiply_parts<R, C>();
      load_a<R>(a + part_pairs);
      multiply_parts<R, C>();
      load_b<C>(b + part_pairs);
      multiply_parts<R, C>();
      load_a<R>(a);
      multiply_parts<R, C>();
      load_b<C>(b + 2 * part_pairs);
      multiply_parts<R, C>();
      load_b<C>(b);
      multiply_parts<R, C>();
    } else if constexpr (Parts == 2) {
      load_a<R>(a);
      load_b<C>(b + part_pairs);
      multiply_parts<R, C>();
      load_b<C>(b);
      multiply_parts<R, C>();
      load_a<R>(a + part_pairs);
      multiply_parts<R, C>();
    } else {
      load_a<R>(a);
      load_b<C>(b);
      multiply_parts<R, C>();
    }
  }
  template <int R>
  void load_a(const Pair* a) noexcept {
    tiles_.template load<4>(a, line_bytes);
    if constexpr (R == 2) tiles_.template load<5>(a + tile_pairs, line_bytes);
  }
  template <int C>
  void load_b(const Pair* b) noexcept {
    tiles_.template load<6>(b, line_bytes);
    if constexpr (C == 2) tiles_.template load<7>(b + tile_pairs, line_bytes);
  }
  template <int R, int C>
  void multiply_parts() noexcept {
    tiles_.template multiply<0, 4, 6>();
    if constexpr (C == 2) tiles_.template multiply<1, 4, 7>();
    if constexpr (R == 2) tiles_.template multiply<2, 5, 6>();
    if constexpr (R + C == 4) tiles_.template multiply<3, 5, 7>();
  }

  T tiles_;
};

/// How a product is cut: C into blocks of 32 × 32, k into steps of 32 and pieces of several steps,
/// of which a chunk does one after the other. An operand is packed by a phase for all chunks, or,
/// where only one chunk reads it, by that one: piece by piece, into the second-level cache.
template <class Set, class In, int Parts>
struct TileCut : Product {
  /// Blocks of rows and of columns in a chunk, and blocks of parts along k in a piece: a piece of A
  /// and of B, and the sums, leave half of a second-level cache of 2 MiB free.
  static constexpr std::int64_t chunk_blocks = 8;
  static constexpr std::int64_t piece_parts = Parts == 1 ? 32 : 24;
  static constexpr std::int64_t step_pairs = Parts * part_pairs;
  /// Blocks of columns in a chunk of whole rows, and pairs of the packed B that it reads.
  static constexpr std::int64_t wide_blocks = 32;
  static constexpr std::int64_t wide_pairs = 160 * 1024;

  TileCut(const KernelCall& call, const Product& product) noexcept
      : Product(product), b_given(gives_b(call)) {
    derive();
    // Of one step of a block of C, which takes some 30 ns for each of its products of parts, a
    // chunk does 10 to 20 µs at least.
    constexpr double least = Parts == 3 ? 100 : Parts == 2 ? 150 : 250;
    const double matrix = static_cast<double>(row_blocks * column_blocks * steps);
    const double target = std::max(least, matrix * static_cast<double>(batch) / 24);
    rows = std::min(row_blocks, chunk_blocks);
    columns = std::min(column_blocks, chunk_blocks);
    // Whole rows of C, where a B of few steps stays in the second-level cache: what follows the
    // product then gets rows by the thousand elements, and A's blocks stay in the first.
    const bool wide = pieces == 1 && row_blocks >= chunk_blocks && column_blocks <= wide_blocks &&
                      column_blocks * steps * step_pairs <= wide_pairs;
    if (wide) columns = column_blocks;
    if (matrix < target) {
      if (rows == row_blocks && columns == column_blocks)
        matrices = std::clamp<std::int64_t>(static_cast<std::int64_t>(target / matrix), 1, batch);
    } else {
      const auto blocks = static_cast<std::int64_t>(target / static_cast<double>(steps));
      // All of the shorter side, if possible: then the other operand is read by one chunk only.
      if (wide || column_blocks < row_blocks)
        rows = std::clamp<std::int64_t>(blocks / columns, 1, rows);
      else
        columns = std::clamp<std::int64_t>(blocks / rows, 1, columns);
    }
    // Even shares.
    rows = ceil_div(row_blocks, ceil_div(row_blocks, rows));
    columns = ceil_div(column_blocks, ceil_div(column_blocks, columns));
  }
  TileCut(const KernelCall& call, const Plan& plan) noexcept
      : Product(product_in<Set>(plan)), b_given(gives_b(call)) {
    const auto& number = plan.numbers;
    rows = number[8];
    columns = number[9];
    matrices = number[10];
    derive();
  }
  void store(Plan& plan) const noexcept {
    plan.numbers = {m, n, k, batch, a_row, a_k, b_k, b_column, rows, columns, matrices};
  }

  static std::int64_t ceil_div(std::int64_t a, std::int64_t b) noexcept { return (a + b - 1) / b; }
  /// Whether a call brings B packed as this cut reads it: float32 is packed for the highest
  /// precision, whatever a program runs at later.
  static bool gives_b(const KernelCall& call) noexcept {
    return call.packed && (Parts == 3 || !std::is_same_v<In, float>);
  }

  [[nodiscard]] std::int64_t row_chunks() const noexcept { return ceil_div(row_blocks, rows); }
  [[nodiscard]] std::int64_t column_chunks() const noexcept {
    return ceil_div(column_blocks, columns);
  }
  [[nodiscard]] std::int64_t chunks() const noexcept {
    return ceil_div(batch, matrices) * row_chunks() * column_chunks();
  }
  [[nodiscard]] bool a_own() const noexcept { return column_chunks() == 1; }
  [[nodiscard]] bool b_own() const noexcept { return !b_given && row_chunks() == 1; }
  [[nodiscard]] bool b_by_phase() const noexcept { return !b_given && row_chunks() > 1; }
  [[nodiscard]] std::int64_t piece_begin(std::int64_t piece) const noexcept {
    return piece * steps / pieces;
  }

  // The operands' lines: rows of A, columns of B.
  [[nodiscard]] Lines<In> a_lines(const KernelCall& call, const BatchOffsets& at) const noexcept {
    return {call.in[0].as<const In>() + at.a, a_row, a_k};
  }
  [[nodiscard]] Lines<In> b_lines(const KernelCall& call, const BatchOffsets& at) const noexcept {
    return {call.in[1].as<const In>() + at.b, b_column, b_k};
  }

  // B packed beforehand: all of it, and its exponents.
  [[nodiscard]] std::int64_t all_b_pairs() const noexcept {
    return column_blocks * steps * step_pairs;
  }
  [[nodiscard]] std::size_t given_bytes() const noexcept {
    return static_cast<std::size_t>(all_b_pairs()) * sizeof(Pair) +
           (Parts == 1 ? 0 : static_cast<std::size_t>(column_blocks * pieces)) *
               sizeof(ExponentRange);
  }
  template <class Byte>
  [[nodiscard]] auto* given_ranges(Byte* given) const noexcept {
    using Range = std::conditional_t<std::is_const_v<Byte>, const ExponentRange, ExponentRange>;
    return reinterpret_cast<Range*>(given + static_cast<std::size_t>(all_b_pairs()) * sizeof(Pair));
  }

  // Scratch: A and B packed by a phase, the exponents of both, piece by piece, and rooms.
  [[nodiscard]] std::int64_t a_pairs() const noexcept {
    return a_own() ? 0 : row_blocks * steps * step_pairs;
  }
  [[nodiscard]] std::int64_t b_pairs() const noexcept { return b_by_phase() ? all_b_pairs() : 0; }
  [[nodiscard]] std::int64_t range_count() const noexcept {
    return Parts == 1 ? 0 : (row_blocks + column_blocks) * pieces;
  }
  [[nodiscard]] Pair* a_packed(std::byte* scratch, std::int64_t matrix) const noexcept {
    return reinterpret_cast<Pair*>(scratch) + matrix * (a_pairs() + b_pairs());
  }
  [[nodiscard]] Pair* b_packed(std::byte* scratch, std::int64_t matrix) const noexcept {
    return a_packed(scratch, matrix) + a_pairs();
  }
  [[nodiscard]] ExponentRange* a_ranges(std::byte* scratch, std::int64_t matrix) const noexcept {
    return reinterpret_cast<ExponentRange*>(a_packed(scratch, batch)) + matrix * range_count();
  }
  [[nodiscard]] ExponentRange* b_ranges(std::byte* scratch, std::int64_t matrix) const noexcept {
    return a_ranges(scratch, matrix) + row_blocks * pieces;
  }
  /// Bytes of the scratch before the rooms.
  [[nodiscard]] std::size_t shared_bytes() const noexcept {
    const std::int64_t packed = batch * (a_pairs() + b_pairs());
    const std::int64_t ranges = batch * range_count();
    const std::size_t bytes = static_cast<std::size_t>(packed) * sizeof(Pair) +
                              static_cast<std::size_t>(ranges) * sizeof(ExponentRange);
    return (bytes + 63) / 64 * 64;
  }
  /// What a chunk packs for itself, and its sums.
  [[nodiscard]] std::int64_t room_a_pairs() const noexcept {
    return a_own() ? rows * piece_steps * step_pairs : 0;
  }
  [[nodiscard]] std::int64_t room_b_pairs() const noexcept {
    return b_own() ? columns * piece_steps * step_pairs : 0;
  }
  [[nodiscard]] std::size_t room_bytes() const noexcept {
    const std::int64_t sums = pieces > 1 ? rows * columns * block_size * block_size : 0;
    return static_cast<std::size_t>(room_a_pairs() + room_b_pairs()) * sizeof(Pair) +
           static_cast<std::size_t>(sums) * sizeof(float) + 64;
  }

  std::int64_t row_blocks = 0;
  std::int64_t column_blocks = 0;
  std::int64_t steps = 0;
  std::int64_t pieces = 0;
  std::int64_t piece_steps = 0;  ///< in the longest piece
  std::int64_t rows = 0;         ///< blocks of rows in a chunk
  std::int64_t columns = 0;      ///< blocks of columns in a chunk
  std::int64_t matrices = 1;     ///< in a chunk; several only where it has all of each
  bool b_given = false;          ///< B was packed before

 private:
  void derive() noexcept {
    row_blocks = ceil_div(m, block_size);
    column_blocks = ceil_div(n, block_size);
    steps = ceil_div(k, block_size);
    pieces = ceil_div(steps, piece_parts / Parts);
    piece_steps = ceil_div(steps, pieces);
  }
};

/// Blocks of lines that a chunk of the packing phase packs, one piece deep.
inline constexpr std::int64_t tile_pack_blocks = 4;

/// Packs some blocks of an operand's lines, one piece deep, as [block][step], and notes their
/// exponents as [block][piece].
template <class Set, class In, int Parts, bool ByLine>
void pack_piece(
    const TileCut<Set, In, Parts>& cut,
    const Lines<In>& from,
    std::int64_t count,
    std::int64_t first,
    std::int64_t piece,
    Pair* to,
    [[maybe_unused]] ExponentRange* ranges) noexcept {
  const std::int64_t step = cut.piece_begin(piece);
  const std::int64_t depth =
      std::min(cut.k, cut.piece_begin(piece + 1) * block_size) - step * block_size;
  const std::int64_t lines = std::min(count - first * block_size, tile_pack_blocks * block_size);
  const std::int64_t line_step = cut.steps * cut.step_pairs;
  ExponentRange found[tile_pack_blocks];
  pack_blocks<Set, In, Parts, ByLine>(
      from.at(first * block_size, step * block_size),
      lines,
      depth,
      to + first * line_step + step * cut.step_pairs,
      line_step,
      found);
  if constexpr (Parts > 1)
    for (std::int64_t i = 0; i * block_size < lines; ++i)
      ranges[(first + i) * cut.pieces + piece] = found[i];
}

/// Opens the rooms, and packs what several chunks read: A as [matrix][block of rows][step], B
/// likewise.
template <class Set, class In, int Parts>
void run_tile_pack(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using Cut = TileCut<Set, In, Parts>;
  const Cut cut(call, plan);
  if (chunk == 0) Room<Cut>::open(scratch + cut.shared_bytes());
  const std::int64_t a_groups = cut.a_own() ? 0 : Cut::ceil_div(cut.row_blocks, tile_pack_blocks);
  const std::int64_t b_groups =
      cut.b_by_phase() ? Cut::ceil_div(cut.column_blocks, tile_pack_blocks) : 0;
  if (a_groups + b_groups == 0) return;
  const std::int64_t piece = chunk % cut.pieces;
  const std::int64_t group = chunk / cut.pieces % (a_groups + b_groups);
  const std::int64_t matrix = chunk / cut.pieces / (a_groups + b_groups);
  const BatchOffsets offsets = cut.batch > 1 ? batch_offsets<Set>(call, matrix) : BatchOffsets{};
  if (group < a_groups)
    pack_piece<Set, In, Parts, true>(
        cut,
        cut.a_lines(call, offsets),
        cut.m,
        group * tile_pack_blocks,
        piece,
        cut.a_packed(scratch, matrix),
        cut.a_ranges(scratch, matrix));
  else
    pack_piece<Set, In, Parts, false>(
        cut,
        cut.b_lines(call, offsets),
        cut.n,
        (group - a_groups) * tile_pack_blocks,
        piece,
        cut.b_packed(scratch, matrix),
        cut.b_ranges(scratch, matrix));
}

/// Packs B for products to come.
template <class Set, class In, int Parts>
void run_tile_pack_given(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* given) {
  const TileCut<Set, In, Parts> cut(call, plan);
  pack_piece<Set, In, Parts, false>(
      cut,
      cut.b_lines(call, {}),
      cut.n,
      chunk / cut.pieces * tile_pack_blocks,
      chunk % cut.pieces,
      reinterpret_cast<Pair*>(given),
      cut.given_ranges(given));
}

/// Whether products of parts of such numbers are exact, and their sums finite, in units that take
/// denormals for 0: the least bit of the last part and of each product must be that of a normal
/// number, and k of the largest products must stay below the largest float.
template <class Set>
bool parts_fit(const ExponentRange& a, const ExponentRange& b, std::int64_t k) noexcept {
  constexpr std::int32_t bias = 127;
  constexpr std::int32_t least = 26;         // 2^-101, whose last bit is 2^-124
  constexpr std::int32_t product_bits = 32;  // of two parts, below the product's first bit
  const bool a_zero = a.least > a.most;
  const bool b_zero = b.least > b.most;
  if (a.most > 253 || b.most > 253) return false;
  if (a_zero || b_zero) return true;
  if (a.least < least || b.least < least) return false;
  if (a.least + b.least - 2 * bias < product_bits - 126) return false;
  const auto digits =
      static_cast<std::int32_t>(64 - __builtin_clzll(static_cast<std::uint64_t>(k)));
  return a.most + b.most - 2 * bias + 2 + digits <= 127;
}

/// Computes some blocks of one matrix, or all of several matrices.
template <class Set, class T, class In, int Parts, class Out>
class TileChunk {
  using Cut = TileCut<Set, In, Parts>;

 public:
  TileChunk(const KernelCall& call, const Cut& cut, std::int64_t part, std::byte* scratch) noexcept
      : call_(call), cut_(cut), scratch_(scratch) {
    row_ = part / cut.column_chunks() * cut.rows;
    rows_ = std::min(cut.rows, cut.row_blocks - row_);
    column_ = part % cut.column_chunks() * cut.columns;
    columns_ = std::min(cut.columns, cut.column_blocks - column_);
  }

  void run(std::int64_t matrix, std::byte* room) noexcept {
    const BatchOffsets offsets =
        cut_.batch > 1 ? batch_offsets<Set>(call_, matrix) : BatchOffsets{};
    Pair* const a_room = reinterpret_cast<Pair*>(room);
    Pair* const b_room = a_room + cut_.room_a_pairs();
    float* const sums = reinterpret_cast<float*>(b_room + cut_.room_b_pairs());
    find_ranges(matrix);
    for (std::int64_t piece = 0; piece < cut_.pieces; ++piece) {
      const std::int64_t step = cut_.piece_begin(piece);
      const std::int64_t steps = cut_.piece_begin(piece + 1) - step;
      const std::int64_t k = step * block_size;
      const std::int64_t depth = std::min(cut_.k - k, steps * block_size);
      Packed a{
          cut_.a_packed(scratch_, matrix) + (row_ * cut_.steps + step) * Cut::step_pairs,
          cut_.steps * Cut::step_pairs};
      Packed b{
          (cut_.b_given ? reinterpret_cast<const Pair*>(call_.packed)
                        : cut_.b_packed(scratch_, matrix)) +
              (column_ * cut_.steps + step) * Cut::step_pairs,
          cut_.steps * Cut::step_pairs};
      if (cut_.a_own()) {
        a = {a_room, steps * Cut::step_pairs};
        const std::int64_t row = row_ * block_size;
        pack_blocks<Set, In, Parts, true>(
            cut_.a_lines(call_, offsets).at(row, k),
            std::min(cut_.m - row, rows_ * block_size),
            depth,
            a_room,
            a.line_step,
            a_ranges_);
      }
      if (cut_.b_own()) {
        b = {b_room, steps * Cut::step_pairs};
        const std::int64_t column = column_ * block_size;
        pack_blocks<Set, In, Parts, false>(
            cut_.b_lines(call_, offsets).at(column, k),
            std::min(cut_.n - column, columns_ * block_size),
            depth,
            b_room,
            b.line_step,
            b_ranges_);
      }
      multiply(matrix, offsets, piece, steps, a, b, sums);
    }
    finish(matrix);
  }

 private:
  /// Packed blocks of an operand: the first, and how far those of the next 32 lines are.
  struct Packed {
    const Pair* data;
    std::int64_t line_step;
  };

  /// What the packing phase found, or nothing yet.
  void find_ranges([[maybe_unused]] std::int64_t matrix) noexcept {
    if constexpr (Parts > 1) {
      std::fill_n(a_ranges_, rows_, ExponentRange{});
      std::fill_n(b_ranges_, columns_, ExponentRange{});
      const ExponentRange* const a = cut_.a_ranges(scratch_, matrix) + row_ * cut_.pieces;
      const ExponentRange* const b =
          (cut_.b_given ? cut_.given_ranges(call_.packed) : cut_.b_ranges(scratch_, matrix)) +
          column_ * cut_.pieces;
      if (!cut_.a_own())
        for (std::int64_t i = 0; i < rows_ * cut_.pieces; ++i)
          widen<Set>(a_ranges_[i / cut_.pieces], a[i]);
      if (!cut_.b_own())
        for (std::int64_t i = 0; i < columns_ * cut_.pieces; ++i)
          widen<Set>(b_ranges_[i / cut_.pieces], b[i]);
    }
  }

  void multiply(
      std::int64_t matrix,
      [[maybe_unused]] const BatchOffsets& offsets,
      std::int64_t piece,
      std::int64_t steps,
      const Packed& a,
      const Packed& b,
      float* sums) noexcept {
    const bool last = piece + 1 == cut_.pieces;
    Out* const c = call_.out[0].as<Out>() + matrix * cut_.m * cut_.n;
    alignas(64) float bias[panel_columns];
    TileBlock block;
    block.steps = steps;
    block.c_row = cut_.n;
    for (std::int64_t j = 0; j < columns_; ++j) {
      const std::int64_t column = (column_ + j) * block_size;
      block.columns = std::min(block_size, cut_.n - column);
      block.b = b.data + j * b.line_step;
      if (last && call_.in_count > 2) {
        load_bias<Set, Out>(call_.in[2], column, 1, block.columns, bias);
        block.bias = bias;
      }
      for (std::int64_t i = 0; i < rows_; ++i) {
        const std::int64_t row = (row_ + i) * block_size;
        block.rows = std::min(block_size, cut_.m - row);
        block.a = a.data + i * a.line_step;
        float* const waiting = sums + (j * rows_ + i) * block_size * block_size;
        block.from = piece > 0 ? waiting : nullptr;
        block.sums = last ? nullptr : waiting;
        block.c = c + row * cut_.n + column;
        if constexpr (Parts > 1)
          if (last && !parts_fit<Set>(a_ranges_[i], b_ranges_[j], cut_.k)) {
            multiply_exactly<Arch>(
                call_,
                cut_,
                offsets,
                row,
                block.rows,
                column,
                block.columns,
                static_cast<float*>(block.c));
            continue;
          }
        unit_.template multiply<Out>(block);
      }
    }
  }

  void finish(std::int64_t matrix) const noexcept {
    if (!call_.segment) return;
    const std::int64_t first_column = column_ * block_size;
    const std::int64_t end_column = std::min((column_ + columns_) * block_size, cut_.n);
    const std::int64_t first_row = row_ * block_size;
    call_.run_segment_rows(
        *call_.segment,
        (matrix * cut_.m + first_row) * cut_.n + first_column,
        std::min((row_ + rows_) * block_size, cut_.m) - first_row,
        cut_.n,
        end_column - first_column);
  }

  const KernelCall& call_;
  const Cut& cut_;
  std::byte* scratch_;
  std::int64_t row_ = 0;  ///< the first block of rows
  std::int64_t rows_ = 0;
  std::int64_t column_ = 0;
  std::int64_t columns_ = 0;
  ExponentRange a_ranges_[Cut::chunk_blocks];
  ExponentRange b_ranges_[Cut::wide_blocks];
  TileUnit<Set, T, Parts> unit_;
};

template <class Set, class T, class In, int Parts, class Out>
void run_tile_product(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using Cut = TileCut<Set, In, Parts>;
  const Cut cut(call, plan);
  const std::int64_t parts = cut.row_chunks() * cut.column_chunks();
  const std::int64_t first = chunk / parts * cut.matrices;
  const std::int64_t end = std::min(first + cut.matrices, cut.batch);
  TileChunk<Set, T, In, Parts, Out> work(call, cut, chunk % parts, scratch);
  std::byte* const rooms = scratch + cut.shared_bytes();
  if (cut.chunks() == 1) {
    for (std::int64_t matrix = first; matrix < end; ++matrix)
      work.run(matrix, rooms + Room<Cut>::head_bytes);
    return;
  }
  const std::size_t bytes = cut.room_bytes();
  const Room<Cut> room(rooms, Room<Cut>::count(cut.chunks(), bytes), bytes);
  for (std::int64_t matrix = first; matrix < end; ++matrix) work.run(matrix, room.data());
}

/// Plans the product by tiles. Every element is added up in an order that depends on k alone.
template <class Set, class T, class In, int Parts, class Out>
void plan_tile_product(const KernelCall& call, const Product& product, Plan& plan) {
  using Cut = TileCut<Set, In, Parts>;
  const Cut cut(call, product);
  cut.store(plan);
  if (call.packs) {
    // What `gives_b` would not read is packed for nobody.
    if (cut.batch > 1 || (Parts != 3 && std::is_same_v<In, float>)) return;
    plan.packed_bytes = plan.scratch_bytes = cut.given_bytes();
    plan.cost_ns = 150.0 * Parts * static_cast<double>(cut.column_blocks * cut.steps) + 100;
    plan.add(
        &run_tile_pack_given<Set, In, Parts>,
        Cut::ceil_div(cut.column_blocks, tile_pack_blocks) * cut.pieces);
    return;
  }
  constexpr double block_ns = 10 + 32 * (Parts * (Parts + 1) / 2);
  plan.cost_ns = static_cast<double>(cut.batch * cut.steps) *
                     (block_ns * static_cast<double>(cut.row_blocks * cut.column_blocks) +
                      150.0 * Parts * static_cast<double>(cut.row_blocks + cut.column_blocks)) +
                 100;
  const std::int64_t chunks = cut.chunks();
  plan.scratch_bytes =
      cut.shared_bytes() + Room<Cut>::head_bytes +
      cut.room_bytes() * static_cast<std::size_t>(Room<Cut>::count(chunks, cut.room_bytes()));
  if (chunks > 1) {
    const std::int64_t groups =
        (cut.a_own() ? 0 : Cut::ceil_div(cut.row_blocks, tile_pack_blocks)) +
        (cut.b_by_phase() ? Cut::ceil_div(cut.column_blocks, tile_pack_blocks) : 0);
    plan.add(
        &run_tile_pack<Set, In, Parts>, std::max<std::int64_t>(groups * cut.pieces * cut.batch, 1));
  }
  plan.add(&run_tile_product<Set, T, In, Parts, Out>, chunks);
  plan.ends_with_segment = true;
}

/// Whether a product is one for tiles, and not left to the kernels that `Set` has besides: of a
/// dtype that tiles know, and so large that multiplying faster makes up for packing. Measured
/// against FMAs and against vdpbf16ps.
template <class Set>
bool takes_tiles(const KernelCall& call, const Product& product, bool vector) noexcept {
  const double m = static_cast<double>(product.m);
  const double n = static_cast<double>(product.n);
  const double k = static_cast<double>(product.k);
  if (vector || product.batch == 0) return false;
  const bool whole = call.in[0].dtype == DType::float32 && call.precision != Precision::medium;
  if (!whole) {
    if (call.in[0].dtype != DType::float32 && call.in[0].dtype != DType::bfloat16) return false;
    return std::min({m, n, k}) >= 8 && m * n * k >= 20 * 20 * 20;
  }
  const double side = call.precision == Precision::highest ? 96 : 64;
  return 2 * m * n >= side * (m + n) && m * n * k >= side * side * side;
}

/// Plans a product of float32 or bfloat16 by tiles.
template <class Set, class T>
void plan_tiles(const KernelCall& call, Plan& plan, const Product& product) {
  if (call.in[0].dtype == DType::bfloat16)
    return plan_tile_product<Set, T, BFloat16, 1, BFloat16>(call, product, plan);
  switch (call.precision) {
    case Precision::highest:
      return plan_tile_product<Set, T, float, 3, float>(call, product, plan);
    case Precision::high:
      return plan_tile_product<Set, T, float, 2, float>(call, product, plan);
    case Precision::medium:
      return plan_tile_product<Set, T, float, 1, float>(call, product, plan);
  }
}

}  // namespace troupe::cpu
