#include "gemm.hpp"
#include "unsupported.hpp"
#include "wide.hpp"

#include <algorithm>
#include <type_traits>

namespace troupe {
struct Matmul;  // has no attributes, so its name is all the kernel needs
}

namespace troupe::cpu {
namespace {

/// The product of integers wraps around, as everywhere in integer arithmetic here; computed
/// unsigned, where wrapping is defined. Nobody trains on it: a plain loop over rows is enough.
template <class T, class A>
void run_integers(const KernelCall& call, const Plan& plan, std::uint32_t chunk, std::byte*) {
  using U = std::make_unsigned_t<T>;
  const auto [m, n, k, batch, a_row, a_k, b_k, b_column, rows, blocks, unused_0, unused_1] =
      plan.numbers;
  const std::int64_t matrix = chunk / blocks;
  const std::int64_t first = chunk % blocks * rows;
  const BatchOffsets offsets = batch > 1 ? batch_offsets<A>(call, matrix) : BatchOffsets{};
  const T* const a = call.in[0].as<const T>() + offsets.a;
  const T* const b = call.in[1].as<const T>() + offsets.b;
  U* const c = call.out[0].as<U>() + matrix * m * n;
  for (std::int64_t i = first; i < std::min(first + rows, m); ++i) {
    U* const row = c + i * n;
    std::fill(row, row + n, U(0));
    for (std::int64_t p = 0; p < k; ++p) {
      const U left = static_cast<U>(a[i * a_row + p * a_k]);
      const T* const right = b + p * b_k;
      for (std::int64_t j = 0; j < n; ++j) row[j] += left * static_cast<U>(right[j * b_column]);
    }
  }
}

template <class T, class A>
void plan_integers(const Product& p, Plan& plan) {
  if (p.m * p.n * p.batch == 0) return;
  const double row_ns = 1.0 * p.n * std::max<std::int64_t>(p.k, 1);
  const std::int64_t rows = std::clamp<std::int64_t>(50e3 / row_ns, 1, p.m);
  const std::int64_t blocks = (p.m + rows - 1) / rows;
  plan.numbers = {p.m, p.n, p.k, p.batch, p.a_row, p.a_k, p.b_k, p.b_column, rows, blocks, 0, 0};
  plan.cost_ns = row_ns * p.m * p.batch;
  plan.add(&run_integers<T, A>, blocks * p.batch);
}

}  // namespace

template <>
void Kernel<Matmul, Arch>::plan(const KernelCall& call, Plan& plan) {
  const View& a = call.in[0];
  const View& b = call.in[1];
  if (!is_computable(a.dtype)) return plan_wide<Arch>(call, plan, &Kernel<Matmul, Arch>::plan);
  const std::size_t a_rank = a.shape.size();
  const std::size_t b_rank = b.shape.size();
  // A vector is a row on the left, a column on the right.
  Product p;
  p.k = a.shape[a_rank - 1];
  p.a_k = a.strides[a_rank - 1];
  p.m = a_rank > 1 ? a.shape[a_rank - 2] : 1;
  p.a_row = a_rank > 1 ? a.strides[a_rank - 2] : 0;
  p.n = b_rank > 1 ? b.shape[b_rank - 1] : 1;
  p.b_k = b.strides[b_rank > 1 ? b_rank - 2 : 0];
  p.b_column = b_rank > 1 ? b.strides[b_rank - 1] : 0;
  const std::size_t batch_rank = std::max({a_rank, b_rank, std::size_t{2}}) - 2;
  for (std::size_t axis = 0; axis < batch_rank; ++axis) p.batch *= call.out[0].shape[axis];

  // One B for all: the rows of all matrices are the rows of one, where they lie evenly.
  bool one_b = true;
  for (std::size_t axis = 0; axis + 2 < b_rank; ++axis) one_b = one_b && b.shape[axis] == 1;
  const bool vector = (one_b ? p.m * p.batch : p.m) == 1 || p.n == 1;
  if (one_b && p.batch > 1 && a_rank == batch_rank + 2) {
    const std::int64_t row = p.m == 1 ? a.strides[a_rank - 3] : p.a_row;
    std::int64_t step = row * p.m;
    bool even = true;
    for (std::size_t axis = batch_rank; axis-- > 0;) {
      even = even && (a.shape[axis] == 1 || a.strides[axis] == step);
      step *= a.shape[axis];
    }
    if (even) {
      p.m *= p.batch;
      p.batch = 1;
      p.a_row = row;
    }
  }
  switch (a.dtype) {
    case DType::float32:
      return vector ? plan_vector_product<float, Arch>(p, plan)
                    : plan_product<float, Arch>(p, plan);
    case DType::float64:
      return vector ? plan_vector_product<double, Arch>(p, plan)
                    : plan_product<double, Arch>(p, plan);
    case DType::int32:
      return plan_integers<std::int32_t, Arch>(p, plan);
    case DType::int64:
      return plan_integers<std::int64_t, Arch>(p, plan);
    default:
      throw_unsupported("matmul", a.dtype);
  }
}

}  // namespace troupe::cpu
