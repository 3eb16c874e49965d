#include "gemm_pack.hpp"
#include "gemm_panel.hpp"
#include "kernel.hpp"
#include "lanes.hpp"
#include "pack_math.hpp"
#include "rooms.hpp"

#include <troupe/tensor/ops/attention.hpp>

#include <algorithm>
#include <cstring>
#include <limits>

// Attention by blocks of queries and keys, whose scores stay in the second-level cache. Products go
// through the tiles of gemm_tile.hpp; what lies above the diagonal is not computed.
namespace troupe::cpu {
namespace {

constexpr std::int64_t block_size = 128;  ///< queries or keys in a block
/// What one chunk should compute at least, and how many chunks there should be, where a head is
/// large enough to be cut.
constexpr double chunk_least_flops = 2e6;
constexpr std::int64_t chunks_wanted = 16;

constexpr std::int64_t round_up(std::int64_t n, std::int64_t step) {
  return (n + step - 1) / step * step;
}
constexpr std::int64_t blocks_in(std::int64_t n) { return (n + block_size - 1) / block_size; }

/// A matrix in any layout, strides in elements.
template <class T>
struct Matrix {
  T* data = nullptr;
  std::int64_t row = 0;
  std::int64_t column = 1;

  [[nodiscard]] Matrix from_row(std::int64_t i) const { return {data + i * row, row, column}; }
};

/// The matrix of one head, whose rows go along the axis `places`; where queries, keys and values
/// are one tensor, `part` of it.
template <class T>
Matrix<T> matrix_of(
    const View& view, std::int64_t head, std::size_t places, std::int64_t part = -1) {
  const std::size_t last = view.shape.size() - 1;
  std::int64_t offset = 0;
  for (std::size_t axis = last; axis-- > 0;) {
    if (axis == places) continue;
    if (part >= 0 && axis == 2) {
      offset += part * view.strides[2];
      continue;
    }
    offset += head % view.shape[axis] * view.strides[axis];
    head /= view.shape[axis];
  }
  return {view.as<T>() + offset, view.strides[places], view.strides[last]};
}
/// Where the numbers of one head's queries begin, and how far apart they lie.
template <class T>
Matrix<T> rows_of(const View& view, std::int64_t head) {
  const std::size_t last = view.shape.size() - 1;
  std::int64_t offset = 0;
  for (std::size_t axis = last; axis-- > 0;) {
    offset += head % view.shape[axis] * view.strides[axis];
    head /= view.shape[axis];
  }
  return {view.as<T>() + offset, view.strides[last], 0};
}

struct Sizes {
  bool packed;
  std::int64_t heads = 1;
  std::int64_t queries;
  std::int64_t keys;
  std::int64_t features;
  std::int64_t values;  ///< features of a value
  std::size_t qkv_places;
  std::size_t y_places;

  /// @param qkv    the first of the one or three inputs that hold queries, keys and values
  explicit Sizes(const View* qkv, bool packed) : packed(packed) {
    const Shape& q = qkv[0].shape;
    if (packed) {
      heads = q[0] * q[3];
      queries = keys = q[1];
      features = values = q[4];
      qkv_places = y_places = 1;
      return;
    }
    const std::size_t rank = q.size();
    for (std::size_t i = 0; i + 2 < rank; ++i) heads *= q[i];
    queries = q[rank - 2];
    keys = qkv[1].shape[rank - 2];
    features = q[rank - 1];
    values = qkv[2].shape[rank - 1];
    qkv_places = y_places = rank - 2;
  }
  template <class T>
  [[nodiscard]] Matrix<T> part(const View* qkv, std::int64_t head, std::int64_t i) const {
    return packed ? matrix_of<T>(qkv[0], head, qkv_places, i)
                  : matrix_of<T>(qkv[i], head, qkv_places);
  }
  template <class T>
  [[nodiscard]] Matrix<T> result(const View& y, std::int64_t head) const {
    return matrix_of<T>(y, head, y_places);
  }
  /// Of one product of all queries with all keys, of one head.
  [[nodiscard]] double flops(bool causal) const {
    return (causal ? 1.0 : 2.0) * static_cast<double>(queries * keys) *
           static_cast<double>(features + values) / 2;
  }
};

template <class T>
struct Tiles {
  using A = Arch;
  using Shape = Tile<T, A>;
  using V = Twin<Pack<T, A>>;  ///< one row of a tile
  static constexpr std::int64_t lanes = Shape::lanes;
  static constexpr std::int64_t width = Shape::columns;
  static_assert(V::size == width);

  static std::int64_t padded(std::int64_t columns) { return round_up(columns, width); }

  /// Whether tiles may read the rows where they lie: side by side, whole vectors of them, and not a
  /// power of two apart, which would have them push each other out of the cache.
  static bool tidy(const Matrix<T>& m, std::int64_t columns) {
    return m.column == 1 && (Shape::cuts_rows || columns % lanes == 0) &&
           m.row * static_cast<std::int64_t>(sizeof(T)) % 2048 != 0;
  }
  /// The rows as tiles may read them: the same, or a copy in `room`, zeros up to a whole panel.
  static Matrix<T> tidied(const Matrix<T>& m, std::int64_t rows, std::int64_t columns, T* room) {
    if (tidy(m, columns)) return m;
    const std::int64_t row = padded(columns);
    for (std::int64_t i = 0; i < rows; ++i) {
      const T* const from = m.data + i * m.row;
      T* const to = room + i * row;
      if (m.column == 1)
        std::memcpy(to, from, static_cast<std::size_t>(columns) * sizeof(T));
      else
        for (std::int64_t j = 0; j < columns; ++j) to[j] = from[j * m.column];
      for (std::int64_t j = columns; j < row; ++j) to[j] = T(0);
    }
    return {room, row, 1};
  }

  /// The transpose of rows of `m`, times a number: panel after panel, [columns of m][width].
  static void turn(
      const Matrix<T>& m, std::int64_t rows, std::int64_t columns, double scale, T* to) {
    for (std::int64_t first = 0; first < rows; first += width) {
      pack_columns<T, A>(
          m.data + first * m.row, m.column, m.row, std::min(width, rows - first), columns, to);
      for (std::int64_t i = 0; i < columns; ++i, to += width) (V::load(to) * V(scale)).store(to);
    }
  }

  /// C = A · B for a block of scores; B turned. Of the panel that begins at a column, rows from
  /// `begin(column)` to `end(column)` are wanted, no fewer are computed.
  template <class Begin, class End>
  static void scores(
      const Matrix<T>& a,
      std::int64_t rows,
      const T* b,
      std::int64_t depth,
      std::int64_t columns,
      T* c,
      const Begin& begin,
      const End& end) {
    const auto tiles = RowTiles<A>::cut(rows, Shape::rows);
    const auto& functions = tile_table<T, A>();
    const std::int64_t c_row = padded(columns);
    TileCall<T> tile;
    tile.a_row = a.row;
    tile.a_k = a.column;
    tile.b_row = width;
    tile.k = depth;
    tile.c_row = c_row;
    for (std::int64_t column = 0; column < columns; column += width, b += depth * width) {
      const std::int64_t from = begin(column);
      const std::int64_t to = end(column);
      tile.b = b;
      for (std::int64_t i = 0; i < tiles.count; ++i) {
        const std::int64_t row = tiles.begin(i);
        const std::int64_t next = tiles.begin(i + 1);
        if (next <= from || row >= to) continue;
        tile.a = a.data + row * a.row;
        tile.c = c + row * c_row + column;
        functions[1][static_cast<std::size_t>(next - row - 1)](tile);
      }
    }
  }

  /// The terms that a tile of rows sums up.
  struct Depth {
    std::int64_t first;
    std::int64_t end;
  };
  /// C (+)= A · B for rows of B where they lie; `depth(row, next)` says which of them count.
  template <class DepthOf>
  static void mix(
      const Matrix<T>& a,
      std::int64_t rows,
      const Matrix<T>& b,
      std::int64_t columns,
      T* c,
      bool add,
      const DepthOf& depth_of) {
    const auto tiles = RowTiles<A>::cut(rows, Shape::rows);
    const auto& functions = tile_table<T, A>();
    const std::int64_t c_row = padded(columns);
    TileCall<T> tile;
    tile.a_row = a.row;
    tile.a_k = a.column;
    tile.b_row = b.row;
    tile.c_row = tile.from_row = c_row;
    for (std::int64_t i = 0; i < tiles.count; ++i) {
      const std::int64_t row = tiles.begin(i);
      const std::int64_t next = tiles.begin(i + 1);
      const Depth depth = depth_of(row, next);
      tile.k = std::max<std::int64_t>(depth.end - depth.first, 0);
      tile.a = a.data + row * a.row + depth.first * a.column;
      for (std::int64_t column = 0; column < columns; column += width) {
        const std::int64_t rest = columns - column;
        tile.b = b.data + depth.first * b.row + column;
        tile.columns = std::min(rest, width);
        tile.c = c + row * c_row + column;
        tile.from = add ? tile.c : nullptr;
        functions[rest > lanes][static_cast<std::size_t>(next - row - 1)](tile);
      }
    }
  }

  /// to = from · factor, row by row.
  static void write_rows(
      const T* from,
      std::int64_t rows,
      std::int64_t columns,
      const Matrix<T>& to,
      const T* factors = nullptr) {
    const std::int64_t row = padded(columns);
    for (std::int64_t i = 0; i < rows; ++i) {
      const Vec<T, A> factor(factors ? factors[i] : T(1));
      for (std::int64_t j = 0; j < columns; j += lanes) {
        const auto x = Lanes<T, A>::load(from + i * row + j, columns - j, T(0));
        Lanes<T, A>::store(to.data + i * to.row + j, columns - j, x * factor);
      }
    }
  }
  static V places() {
    alignas(64) T numbers[width];
    for (std::int64_t i = 0; i < width; ++i) numbers[i] = static_cast<T>(i);
    return V::load(numbers);
  }
};

/// The forward pass: which chunk has what, and where in its room.
template <class T>
struct Forward : Sizes {
  using X = Tiles<T>;
  std::int64_t query_blocks;
  std::int64_t units;  ///< blocks of queries of all heads
  std::int64_t units_a_chunk;
  std::int64_t query_rows;  ///< in a full block of the launch, in whole panels
  std::int64_t key_rows;
  // Places in a room, in elements.
  std::int64_t scores;
  std::int64_t sums;
  std::int64_t keys_copy;
  std::int64_t values_copy;
  std::int64_t room;
  std::int64_t rooms;

  explicit Forward(const KernelCall& call)
      : Sizes(call.in, call.in_count == 1), query_blocks(blocks_in(queries)) {
    units = heads * query_blocks;
    const double unit = std::max(
        flops(false) / static_cast<double>(std::max<std::int64_t>(query_blocks, 1)) * 2, 1.0);
    units_a_chunk = std::clamp<std::int64_t>(
        static_cast<std::int64_t>(chunk_least_flops / unit), 1, std::max<std::int64_t>(units, 1));
    query_rows = X::padded(std::min(queries, block_size));
    key_rows = std::min(keys, block_size);
    scores = features * query_rows;
    sums = scores + key_rows * query_rows;
    keys_copy = sums + query_rows * X::padded(values);
    values_copy = keys_copy + key_rows * X::padded(features);
    room = round_up(values_copy + key_rows * X::padded(values), 64);
    rooms = Room<Arch>::count(chunks(), room_bytes());
  }
  [[nodiscard]] std::int64_t chunks() const { return (units + units_a_chunk - 1) / units_a_chunk; }
  [[nodiscard]] std::size_t room_bytes() const {
    return static_cast<std::size_t>(std::max<std::int64_t>(room, 64)) * sizeof(T);
  }
};

/// Softmax's state for the queries of a block.
template <class T>
struct Running {
  alignas(64) T most[block_size];
  alignas(64) T total[block_size];
  alignas(64) T fade[block_size];  ///< what sums so far are multiplied with
};

/// Turns a panel of scores, [keys][queries], into powers, and brings its queries' state up to date.
///
/// @param seen     keys before this one are seen by the panel's last query
/// @param common   keys before this one are seen by all its queries
/// @param cleared  keys from `seen` up to this one get the weight 0
template <class T>
[[gnu::always_inline]] inline void take_powers(
    T* scores,
    std::int64_t row,
    std::int64_t seen,
    std::int64_t common,
    std::int64_t cleared,
    std::int64_t column,
    Running<T>& state) {
  using V = typename Tiles<T>::V;
  constexpr double lowest = -std::numeric_limits<double>::infinity();
  const V before = V::load(state.most + column);
  V most = before;
  V other(lowest);
  std::int64_t j = 0;
  for (; j + 2 <= common; j += 2) {
    most = larger(most, V::load(scores + j * row));
    other = larger(other, V::load(scores + (j + 1) * row));
  }
  if (j < common) most = larger(most, V::load(scores + j * row));
  most = larger(most, other);
  const V places = Tiles<T>::places();
  for (j = common; j < seen; ++j) {
    // Key j is seen from query j − common + 1 of the panel on.
    const V hidden_below(static_cast<double>(j - common + 1));
    const V score = select(places < hidden_below, V(lowest), V::load(scores + j * row));
    score.store(scores + j * row);
    most = larger(most, score);
  }
  // Of nothing but −∞ the powers are 0, not NaN, as long as there may be more to come.
  const V from = select(most == V(lowest), V(0), most);
  V total(0);
  for (j = 0; j < seen; ++j) {
    const V power = exp_below_one(V::load(scores + j * row) - from);
    power.store(scores + j * row);
    total = total + power;
  }
  for (; j < cleared; ++j) V(0).store(scores + j * row);
  const V fade = exp_below_one(before - from);
  most.store(state.most + column);
  fade.store(state.fade + column);
  fma(V::load(state.total + column), fade, total).store(state.total + column);
}

template <class T>
[[gnu::flatten]] void attend(
    const KernelCall& call, const Forward<T>& f, std::int64_t unit, T* room) {
  using X = Tiles<T>;
  const Attention& op = call.op<Attention>();
  const bool causal = op.is_causal;
  const std::int64_t head = unit / f.query_blocks;
  // The last queries, which see the most keys, first.
  const std::int64_t i0 = (f.query_blocks - 1 - unit % f.query_blocks) * block_size;
  const std::int64_t rows = std::min(block_size, f.queries - i0);
  const std::int64_t columns = X::padded(rows);
  const Matrix<T> query = f.template part<T>(call.in, head, 0).from_row(i0);
  const Matrix<T> key = f.template part<T>(call.in, head, 1);
  const Matrix<T> value = f.template part<T>(call.in, head, 2);
  const Matrix<T> y = f.template result<T>(call.out[0], head).from_row(i0);
  T* const logarithms = call.out[1].as<T>() + head * f.queries + i0;
  T* const sums = room + f.sums;
  T* const scores = room + f.scores;
  const std::int64_t values_row = X::padded(f.values);
  Running<T> state;
  std::fill_n(state.most, block_size, -std::numeric_limits<T>::infinity());
  std::fill_n(state.total, block_size, T(0));
  X::turn(query, rows, f.features, op.scale, room);

  const std::int64_t keys = causal ? std::min(f.keys, i0 + rows) : f.keys;
  for (std::int64_t j0 = 0; j0 < keys; j0 += block_size) {
    const std::int64_t depth = std::min(block_size, f.keys - j0);
    // Keys that query i of the block sees are those before j < i + ahead.
    const std::int64_t ahead = causal ? i0 - j0 + 1 : block_size;
    const auto seen_by = [&](std::int64_t i) { return std::min(depth, i + ahead); };
    X::scores(
        X::tidied(key.from_row(j0), depth, f.features, room + f.keys_copy),
        depth,
        room,
        f.features,
        rows,
        scores,
        [](std::int64_t) { return std::int64_t{0}; },
        [&](std::int64_t column) { return seen_by(std::min(column + X::width, rows) - 1); });
    for (std::int64_t column = 0; column < columns; column += X::width) {
      const std::int64_t seen = seen_by(std::min(column + X::width, rows) - 1);
      take_powers<T>(
          scores + column,
          columns,
          seen,
          std::min(seen, seen_by(column)),
          std::min<std::int64_t>(depth, seen + X::Shape::rows),
          column,
          state);
    }
    if (j0 > 0)
      for (std::int64_t i = 0; i < rows; ++i)
        for (std::int64_t p = 0; p < f.values; p += X::lanes) {
          T* const at = sums + i * values_row + p;
          const auto sum = Lanes<T, Arch>::load(at, f.values - p, T(0));
          Lanes<T, Arch>::store(at, f.values - p, sum * Vec<T, Arch>(state.fade[i]));
        }
    X::mix(
        Matrix<T>{scores, 1, columns},
        rows,
        X::tidied(value.from_row(j0), depth, f.values, room + f.values_copy),
        f.values,
        sums,
        j0 > 0,
        [&](std::int64_t, std::int64_t next) {
          return typename X::Depth{0, seen_by(next - 1)};
        });
  }
  if (keys == 0) {
    std::fill_n(sums, rows * values_row, T(0));
    std::fill_n(state.total, block_size, T(1));
  }
  using P = Pack<T, Arch>;
  for (std::int64_t i = 0; i < rows; i += P::size) {
    const P total = P::load(state.total + i);
    (P(1) / total).store(state.total + i);
    Lanes<T, Arch>::store(logarithms + i, rows - i, (P::load(state.most + i) + log(total)).r);
  }
  X::write_rows(sums, rows, f.values, y, state.total);
}

template <class T>
void run_forward(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  const Forward<T> f(call);
  const Room<Arch> room(scratch, f.rooms, f.room_bytes());
  const std::int64_t end = std::min((chunk + 1) * f.units_a_chunk, f.units);
  for (std::int64_t unit = chunk * f.units_a_chunk; unit < end; ++unit)
    attend<T>(call, f, unit, reinterpret_cast<T*>(room.data()));
}

/// The backward pass. A chunk has every `groups`-th block of keys of a head, and all queries; what
/// it adds to their gradient is its own where there are several groups, and added up by the phase
/// that follows.
template <class T>
struct Backward : Sizes {
  using X = Tiles<T>;
  const View* qkv;
  const View& y;
  const View& logarithms;
  bool causal;
  double scale;
  std::int64_t key_blocks;
  std::int64_t groups;
  std::int64_t heads_a_chunk;
  std::int64_t query_rows;
  std::int64_t key_rows;  ///< in whole panels
  // Places in a room, in elements.
  std::int64_t value_panels;
  std::int64_t powers;
  std::int64_t slopes;
  std::int64_t key_sums;
  std::int64_t value_sums;
  std::int64_t keys_copy;
  std::int64_t query_copy;
  std::int64_t dy_copy;
  std::int64_t deltas;
  std::int64_t query_sums;
  std::int64_t room;
  std::int64_t rooms;

  explicit Backward(const KernelCall& call)
      : Sizes(call.in + 1, call.in_count == 4),
        qkv(call.in + 1),
        y(call.in[call.in_count - 2]),
        logarithms(call.in[call.in_count - 1]),
        causal(call.op<AttentionBackward>().is_causal),
        scale(call.op<AttentionBackward>().scale),
        key_blocks(blocks_in(keys)) {
    const std::int64_t wanted = (chunks_wanted + heads - 1) / std::max<std::int64_t>(heads, 1);
    groups = std::clamp<std::int64_t>(wanted, 1, std::max<std::int64_t>(key_blocks, 1));
    heads_a_chunk =
        groups > 1
            ? 1
            : std::clamp<std::int64_t>(
                  static_cast<std::int64_t>(chunk_least_flops / std::max(5 * flops(causal), 1.0)),
                  1,
                  std::max<std::int64_t>(heads, 1));
    query_rows = std::min(queries, block_size);
    key_rows = X::padded(std::min(keys, block_size));
    value_panels = features * key_rows;
    powers = value_panels + values * key_rows;
    slopes = powers + query_rows * key_rows;
    key_sums = slopes + query_rows * key_rows;
    value_sums = key_sums + key_rows * X::padded(features);
    keys_copy = value_sums + key_rows * X::padded(values);
    query_copy = keys_copy + key_rows * X::padded(features);
    dy_copy = query_copy + query_rows * X::padded(features);
    deltas = dy_copy + query_rows * X::padded(values);
    query_sums = deltas + round_up(queries, 64);
    room = round_up(query_sums + (groups > 1 ? 0 : sums_size()), 64);
    rooms = Room<Arch>::count(chunks(), room_bytes());
  }
  [[nodiscard]] std::int64_t chunks() const {
    return (heads * groups + heads_a_chunk - 1) / heads_a_chunk;
  }
  [[nodiscard]] std::size_t room_bytes() const {
    return static_cast<std::size_t>(std::max<std::int64_t>(room, 64)) * sizeof(T);
  }
  /// Elements of one head's gradient of the queries.
  [[nodiscard]] std::int64_t sums_size() const { return queries * X::padded(features); }
  [[nodiscard]] std::size_t shares_bytes() const {
    const std::int64_t elements = groups > 1 ? heads * groups * sums_size() : 0;
    return static_cast<std::size_t>(round_up(elements, 64)) * sizeof(T);
  }
};

/// Turns rows of scores into powers, and of dy · valueᵀ into the scores' gradient, times `scale`.
///
/// @param seen  keys that query 0 of the block sees; each other sees one more
template <class T>
[[gnu::always_inline]] inline void take_slopes(
    T* powers,
    T* slopes,
    std::int64_t rows,
    std::int64_t row,
    std::int64_t keys,
    bool causal,
    std::int64_t seen,
    const Matrix<T>& logarithms,
    const T* deltas,
    double scale) {
  using V = typename Tiles<T>::V;
  constexpr std::int64_t width = Tiles<T>::width;
  const V places = Tiles<T>::places();
  for (std::int64_t i = 0; i < rows; ++i, powers += row, slopes += row) {
    const std::int64_t own = causal ? std::min(keys, seen + i) : keys;
    // Tiles of gradients read a little beyond what the first of their rows sees.
    const std::int64_t cleared = std::min(row, round_up(own + Tiles<T>::Shape::rows, width));
    const V logarithm(Pack<T, Arch>(Vec<T, Arch>(logarithms.data[i * logarithms.row])));
    const V delta(Pack<T, Arch>(Vec<T, Arch>(deltas[i])));
    std::int64_t j = 0;
    for (; j < own; j += width) {
      V power = exp_below_one(V::load(powers + j) - logarithm);
      V slope = power * (V::load(slopes + j) - delta) * V(scale);
      if (j + width > own) {
        const auto kept = places < V(static_cast<double>(own - j));
        power = select(kept, power, V(0));
        slope = select(kept, slope, V(0));
      }
      power.store(powers + j);
      slope.store(slopes + j);
    }
    for (; j < cleared; j += width) {
      V(0).store(powers + j);
      V(0).store(slopes + j);
    }
  }
}

/// Elements of a row from `place` on, of which there are `count`; zeros behind them.
template <class T>
[[gnu::always_inline]] inline Pack<T, Arch> some_of(
    const Matrix<T>& row, std::int64_t place, std::int64_t count) {
  if (row.column == 1) return Lanes<T, Arch>::load(row.data + place, count, T(0));
  constexpr std::int64_t lanes = Pack<T, Arch>::size;
  alignas(64) T elements[lanes];
  for (std::int64_t k = 0; k < lanes; ++k)
    elements[k] = k < count ? row.data[(place + k) * row.column] : T(0);
  return Pack<T, Arch>::load(elements);
}

template <class T>
[[gnu::flatten]] void attend_backward(
    const KernelCall& call,
    const Backward<T>& b,
    std::int64_t head,
    std::int64_t group,
    T* room,
    T* query_sums) {
  using X = Tiles<T>;
  const Matrix<T> query = b.template part<T>(b.qkv, head, 0);
  const Matrix<T> key = b.template part<T>(b.qkv, head, 1);
  const Matrix<T> value = b.template part<T>(b.qkv, head, 2);
  const Matrix<T> dy = b.template result<T>(call.in[0], head);
  const Matrix<T> y = b.template result<T>(b.y, head);
  const Matrix<T> logarithms = rows_of<T>(b.logarithms, head);
  const Matrix<T> dkey = b.template part<T>(call.out, head, 1);
  const Matrix<T> dvalue = b.template part<T>(call.out, head, 2);
  T* const powers = room + b.powers;
  T* const slopes = room + b.slopes;
  T* const key_sums = room + b.key_sums;
  T* const value_sums = room + b.value_sums;
  T* const deltas = room + b.deltas;
  const std::int64_t features_row = X::padded(b.features);
  std::fill_n(query_sums, b.sums_size(), T(0));

  for (std::int64_t i = 0; i < b.queries; ++i) {
    using P = Pack<T, Arch>;
    P sum(0);
    for (std::int64_t p = 0; p < b.values; p += P::size) {
      const std::int64_t count = b.values - p;
      const P left = some_of<T>(dy.from_row(i), p, count);
      sum = fma(left, some_of<T>(y.from_row(i), p, count), sum);
    }
    deltas[i] = Lanes<T, Arch>::sum(sum.r);
  }

  for (std::int64_t block = group; block < b.key_blocks; block += b.groups) {
    const std::int64_t j0 = block * block_size;
    const std::int64_t keys = std::min(block_size, b.keys - j0);
    const std::int64_t columns = X::padded(keys);
    bool any = false;
    for (std::int64_t i0 = b.causal ? j0 : 0; i0 < b.queries; i0 += block_size, any = true) {
      if (!any) {
        X::turn(key.from_row(j0), keys, b.features, b.scale, room);
        X::turn(value.from_row(j0), keys, b.values, 1, room + b.value_panels);
      }
      const std::int64_t rows = std::min(block_size, b.queries - i0);
      // The first query of the block that sees key j of its block.
      const auto first_for = [&](std::int64_t j) {
        return b.causal ? std::min(rows, std::max<std::int64_t>(j0 + j - i0, 0)) : 0;
      };
      const auto end_for = [&](std::int64_t) { return rows; };
      const auto terms_of_key = [&](std::int64_t row, std::int64_t) {
        return typename X::Depth{first_for(row), rows};
      };
      const auto terms_of_query = [&](std::int64_t, std::int64_t next) {
        return typename X::Depth{0, b.causal ? std::min(keys, i0 + next - j0) : keys};
      };
      const Matrix<T> q = X::tidied(query.from_row(i0), rows, b.features, room + b.query_copy);
      const Matrix<T> d = X::tidied(dy.from_row(i0), rows, b.values, room + b.dy_copy);
      X::scores(q, rows, room, b.features, keys, powers, first_for, end_for);
      X::scores(d, rows, room + b.value_panels, b.values, keys, slopes, first_for, end_for);
      take_slopes<T>(
          powers,
          slopes,
          rows,
          columns,
          keys,
          b.causal,
          i0 - j0 + 1,
          logarithms.from_row(i0),
          deltas + i0,
          b.scale);
      X::mix(Matrix<T>{powers, 1, columns}, keys, d, b.values, value_sums, any, terms_of_key);
      X::mix(Matrix<T>{slopes, 1, columns}, keys, q, b.features, key_sums, any, terms_of_key);
      X::mix(
          Matrix<T>{slopes, columns, 1},
          rows,
          X::tidied(key.from_row(j0), keys, b.features, room + b.keys_copy),
          b.features,
          query_sums + i0 * features_row,
          true,
          terms_of_query);
    }
    if (!any) {
      std::fill_n(value_sums, keys * X::padded(b.values), T(0));
      std::fill_n(key_sums, keys * features_row, T(0));
    }
    X::write_rows(value_sums, keys, b.values, dvalue.from_row(j0));
    X::write_rows(key_sums, keys, b.features, dkey.from_row(j0));
  }
}

template <class T>
void run_backward(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  const Backward<T> b(call);
  const Room<Arch> room(scratch + b.shares_bytes(), b.rooms, b.room_bytes());
  T* const own = reinterpret_cast<T*>(room.data());
  if (b.groups > 1) {
    T* const share = reinterpret_cast<T*>(scratch) + chunk * b.sums_size();
    attend_backward<T>(call, b, chunk / b.groups, chunk % b.groups, own, share);
    return;
  }
  const std::int64_t end = std::min((chunk + 1) * b.heads_a_chunk, b.heads);
  for (std::int64_t head = chunk * b.heads_a_chunk; head < end; ++head) {
    attend_backward<T>(call, b, head, 0, own, own + b.query_sums);
    Tiles<T>::write_rows(
        own + b.query_sums, b.queries, b.features, b.template part<T>(call.out, head, 0));
  }
}

/// Adds the groups' shares of the queries' gradient, a block of rows at a time.
template <class T>
void run_sums(const KernelCall& call, const Plan&, std::uint32_t chunk, std::byte* scratch) {
  const Backward<T> b(call);
  const std::int64_t blocks = blocks_in(b.queries);
  const std::int64_t head = chunk / blocks;
  const std::int64_t i0 = chunk % blocks * block_size;
  const std::int64_t rows = std::min(block_size, b.queries - i0);
  const std::int64_t row = Tiles<T>::padded(b.features);
  T* const first = reinterpret_cast<T*>(scratch) + head * b.groups * b.sums_size() + i0 * row;
  for (std::int64_t group = 1; group < b.groups; ++group) {
    const T* const from = first + group * b.sums_size();
    for (std::int64_t i = 0; i < rows; ++i)
      for (std::int64_t p = 0; p < b.features; p += Tiles<T>::lanes) {
        using L = Lanes<T, Arch>;
        const std::int64_t at = i * row + p;
        const std::int64_t left = b.features - p;
        L::store(
            first + at, left, L::load(first + at, left, T(0)) + L::load(from + at, left, T(0)));
      }
  }
  Tiles<T>::write_rows(first, rows, b.features, b.template part<T>(call.out, head, 0).from_row(i0));
}

/// Makes the rooms free. A phase of its own, for chunks of the next may run before its first.
void run_open(const KernelCall&, const Plan& plan, std::uint32_t, std::byte* scratch) {
  Room<Arch>::open(scratch + plan.numbers[0]);
}

template <class T>
void plan_forward(const KernelCall& call, Plan& plan) {
  const Forward<T> f(call);
  if (f.units == 0) return;
  plan.numbers = {0};
  plan.scratch_bytes = Room<Arch>::head_bytes + static_cast<std::size_t>(f.rooms) * f.room_bytes();
  plan.cost_ns =
      100 + static_cast<double>(f.heads) * (2 * f.flops(call.op<Attention>().is_causal) / 50 +
                                            static_cast<double>(f.queries * f.keys));
  plan.add(&run_open, 1);
  plan.add(&run_forward<T>, f.chunks());
}

template <class T>
void plan_backward(const KernelCall& call, Plan& plan) {
  const Backward<T> b(call);
  if (b.heads == 0) return;
  plan.numbers = {static_cast<std::int64_t>(b.shares_bytes())};
  plan.scratch_bytes = b.shares_bytes() + Room<Arch>::head_bytes +
                       static_cast<std::size_t>(b.rooms) * b.room_bytes();
  plan.cost_ns = 100 + static_cast<double>(b.heads) *
                           (5 * b.flops(b.causal) / 50 + static_cast<double>(b.queries * b.keys));
  plan.add(&run_open, 1);
  plan.add(&run_backward<T>, b.chunks());
  if (b.groups > 1) plan.add(&run_sums<T>, b.heads * blocks_in(b.queries));
}

}  // namespace

template <>
void Kernel<Attention, Arch>::plan(const KernelCall& call, Plan& plan) {
  call.in[0].dtype == DType::float64 ? plan_forward<double>(call, plan)
                                     : plan_forward<float>(call, plan);
}

template <>
void Kernel<AttentionBackward, Arch>::plan(const KernelCall& call, Plan& plan) {
  call.in[0].dtype == DType::float64 ? plan_backward<double>(call, plan)
                                     : plan_backward<float>(call, plan);
}

}  // namespace troupe::cpu
