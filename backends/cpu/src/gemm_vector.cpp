#include "gemm.hpp"
#include "gemm_pack.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::cpu {
namespace {

/// y[j] = Σ_k x[k]·W[j, k] (+ bias), whichever operand was the vector.
template <class T, class A>
struct VectorProduct {
  static constexpr std::int64_t lanes = Tile<T, A>::lanes;
  /// Columns that a chunk without contiguous rows computes side by side, a cache line or two of
  /// each row of W.
  static constexpr std::int64_t width = 4 * lanes;
  static constexpr std::int64_t depth = 128;

  explicit VectorProduct(const Plan& plan) noexcept
      : columns(plan.numbers[0]),
        k(plan.numbers[1]),
        x_k(plan.numbers[2]),
        w_k(plan.numbers[3]),
        w_column(plan.numbers[4]),
        chunk_columns(plan.numbers[5]),
        chunks(plan.numbers[6]),
        swapped(plan.numbers[7] != 0) {}

  /// Elements of x as a chunk copies it, zeros up to a whole vector.
  [[nodiscard]] std::int64_t padded() const noexcept { return (k + lanes - 1) / lanes * lanes; }

  std::int64_t columns;  ///< elements of y for each matrix
  std::int64_t k;
  std::int64_t x_k;
  std::int64_t w_k;
  std::int64_t w_column;
  std::int64_t chunk_columns;
  std::int64_t chunks;  ///< for each matrix
  bool swapped;         ///< W is the first operand
};

/// The fixed tree that adds the chains: p with p + half, then halves again.
template <class T, class A>
Vec<T, A> add_chains(Vec<T, A>* chain) noexcept {
#pragma GCC unroll 4
  for (int half = Tile<T, A>::lanes / 2; half > 0; half /= 2)
#pragma GCC unroll 8
    for (int p = 0; p < half; ++p) chain[p] = chain[p] + chain[p + half];
  return chain[0];
}

/// As many rows of W as a vector has lanes, each contiguous, against x: lane p of a row's sum is
/// chain p, and turning the sums over gives the chains of all rows lane by lane.
template <class T, class A>
void dot_rows(
    const T* x, const T* w, std::int64_t w_row, std::int64_t k, std::int64_t rows, T* y) noexcept {
  using Register = Vec<T, A>;
  constexpr int lanes = Tile<T, A>::lanes;
  constexpr int group = lanes < 8 ? lanes : 8;
  constexpr int size = transpose_size<T, A>;
  alignas(64) T sums[lanes * lanes];
  alignas(64) T turned[lanes * lanes];
  const std::int64_t whole = k / lanes * lanes;
  for (int first = 0; first < lanes; first += group) {
    const T* row[group];
#pragma GCC unroll 8
    // Rows that do not exist are the last one again; nobody reads their sums.
    for (int i = 0; i < group; ++i)
      row[i] = w + std::min<std::int64_t>(first + i, rows - 1) * w_row;
    Register sum[group];
#pragma GCC unroll 8
    for (int i = 0; i < group; ++i) sum[i] = Register(T(0));
    for (std::int64_t p = 0; p < whole; p += lanes) {
      const Register right = Register::load_unaligned(x + p);
#pragma GCC unroll 8
      for (int i = 0; i < group; ++i)
        sum[i] = fused_multiply_add<T, A>(right, Register::load_unaligned(row[i] + p), sum[i]);
    }
    if (whole < k) {
      const Register right = Register::load_unaligned(x + whole);
#pragma GCC unroll 8
      for (int i = 0; i < group; ++i) {
        alignas(64) T tail[lanes] = {};
        for (std::int64_t p = whole; p < k; ++p) tail[p - whole] = row[i][p];
        sum[i] = fused_multiply_add<T, A>(right, Register::load_aligned(tail), sum[i]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < group; ++i) sum[i].store_aligned(sums + (first + i) * lanes);
  }
  for (int i = 0; i < lanes; i += size)
    for (int j = 0; j < lanes; j += size)
      transpose_block<T, A>(sums + i * lanes + j, lanes, size, turned + j * lanes + i, lanes);
  Register chain[lanes];
#pragma GCC unroll 16
  for (int p = 0; p < lanes; ++p) chain[p] = Register::load_aligned(turned + p * lanes);
  alignas(64) T result[lanes];
  add_chains<T, A>(chain).store_aligned(result);
  std::copy_n(result, rows, y);
}

/// Columns side by side in `V` vectors: chain p of each adds rows p, p + lanes, p + 2 lanes, … of
/// W. Two chains of all vectors at a time, as registers allow.
template <class T, class A, int V>
void sum_columns(
    const VectorProduct<T, A>& product,
    const T* x,
    const T* w,
    std::int64_t columns,
    T* y) noexcept {
  using Register = Vec<T, A>;
  using P = VectorProduct<T, A>;
  constexpr std::int64_t lanes = P::lanes;
  constexpr std::int64_t width = V * lanes;
  alignas(64) T chains[lanes * width];
  alignas(64) T packed[P::depth * width];
  std::fill_n(chains, lanes * width, T(0));
  const bool direct = product.w_column == 1 && columns == width;
  for (std::int64_t k0 = 0; k0 < product.k; k0 += P::depth) {
    const std::int64_t k = std::min(P::depth, product.k - k0);
    const T* rows = w + k0 * product.w_k;
    std::int64_t row = product.w_k;
    if (!direct) {
      for (std::int64_t p = 0; p < k; ++p)
        for (std::int64_t j = 0; j < width; ++j)
          packed[p * width + j] = j < columns ? rows[p * product.w_k + j * product.w_column] : T(0);
      rows = packed;
      row = width;
    }
    // The chains take rows out of their order in memory, which no hardware foresees.
    const std::int64_t ahead = direct && k0 + 2 * P::depth <= product.k ? P::depth * row : 0;
    for (std::int64_t chain = 0; chain < lanes; chain += 2) {
      Register even[V];
      Register odd[V];
      T* const at = chains + chain * width;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        even[v] = Register::load_aligned(at + v * lanes);
        odd[v] = Register::load_aligned(at + width + v * lanes);
      }
      for (std::int64_t p = chain; p < k; p += lanes) {
        const T* const r = rows + p * row;
        const Register left(x[k0 + p]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          __builtin_prefetch(r + ahead + v * lanes);
          even[v] =
              fused_multiply_add<T, A>(left, Register::load_unaligned(r + v * lanes), even[v]);
        }
        if (p + 1 >= k) break;
        const Register next(x[k0 + p + 1]);
#pragma GCC unroll 4
        for (int v = 0; v < V; ++v) {
          __builtin_prefetch(r + ahead + row + v * lanes);
          odd[v] =
              fused_multiply_add<T, A>(next, Register::load_unaligned(r + row + v * lanes), odd[v]);
        }
      }
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        even[v].store_aligned(at + v * lanes);
        odd[v].store_aligned(at + width + v * lanes);
      }
    }
  }
  for (int v = 0; v < V; ++v) {
    Register chain[lanes];
#pragma GCC unroll 16
    for (int p = 0; p < lanes; ++p)
      chain[p] = Register::load_aligned(chains + p * width + v * lanes);
    add_chains<T, A>(chain).store_aligned(chains + v * lanes);
  }
  std::copy_n(chains, columns, y);
}

template <class T, class A>
void run_vector_product(
    const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte* scratch) {
  using P = VectorProduct<T, A>;
  const P product(plan);
  const std::int64_t matrix = chunk / product.chunks;
  const std::int64_t first = chunk % product.chunks * product.chunk_columns;
  const std::int64_t end = std::min(first + product.chunk_columns, product.columns);
  const BatchOffsets offsets = matrix > 0 ? batch_offsets<A>(call, matrix) : BatchOffsets{};
  const T* const a = call.in[0].as<const T>() + offsets.a;
  const T* const b = call.in[1].as<const T>() + offsets.b;
  const T* x = product.swapped ? b : a;
  const T* const w = product.swapped ? a : b;
  const T* const bias = call.in_count > 2 ? call.in[2].as<const T>() : nullptr;
  T* const y = call.out[0].as<T>() + matrix * product.columns;

  if (product.x_k != 1 || product.k % P::lanes != 0) {
    T* const copy = reinterpret_cast<T*>(scratch) + chunk * product.padded();
    for (std::int64_t p = 0; p < product.padded(); ++p)
      copy[p] = p < product.k ? x[p * product.x_k] : T(0);
    x = copy;
  }
  for (std::int64_t j = first; j < end;) {
    const std::int64_t rest = end - j;
    const T* const from = w + j * product.w_column;
    std::int64_t columns = std::min(rest, P::lanes);
    if (product.w_k == 1) {
      dot_rows<T, A>(x, from, product.w_column, product.k, columns, y + j);
    } else if (rest >= P::width || product.w_column != 1) {
      columns = std::min(rest, P::width);
      sum_columns<T, A, 4>(product, x, from, columns, y + j);
    } else {
      sum_columns<T, A, 1>(product, x, from, columns, y + j);
    }
    j += columns;
  }
  // One column: the bias is one number, for all rows.
  const std::int64_t bias_step = bias && !product.swapped ? call.in[2].strides[0] : 0;
  for (std::int64_t j = first; bias && j < end; ++j) y[j] += bias[j * bias_step];
}

}  // namespace

template <class T, class A>
void plan_vector_product(const Product& p, Plan& plan) {
  if (p.m * p.n * p.batch == 0) return;
  using P = VectorProduct<T, A>;
  const bool swapped = p.m != 1;
  const std::int64_t columns = swapped ? p.m : p.n;
  // Bound by reading W: some 20 µs a chunk at a few elements a nanosecond.
  const std::int64_t depth = std::max<std::int64_t>(p.k, 1);
  std::int64_t chunk_columns = std::max<std::int64_t>(128 * 1024 / depth, 1);
  chunk_columns = std::min((chunk_columns + P::width - 1) / P::width * P::width, columns);
  const std::int64_t chunks = (columns + chunk_columns - 1) / chunk_columns;
  plan.numbers = {
      columns,
      p.k,
      swapped ? p.b_k : p.a_k,
      swapped ? p.a_k : p.b_k,
      swapped ? p.a_row : p.b_column,
      chunk_columns,
      chunks,
      swapped};
  plan.cost_ns = 50 + 0.2 * columns * p.k * p.batch;
  const P product(plan);
  if (product.x_k != 1 || p.k % P::lanes != 0)
    plan.scratch_bytes = sizeof(T) * product.padded() * chunks * p.batch;
  plan.add(&run_vector_product<T, A>, chunks * p.batch);
}

template void plan_vector_product<float, Arch>(const Product&, Plan&);
template void plan_vector_product<double, Arch>(const Product&, Plan&);

}  // namespace troupe::cpu
