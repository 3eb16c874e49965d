#include "gemm.hpp"
#include "product_of.hpp"
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
  if (!is_computable(a.dtype)) return plan_wide<Arch>(call, plan, &Kernel<Matmul, Arch>::plan);
  bool vector = false;
  const Product p = product_of_matmul<Arch>(call, vector);
  switch (a.dtype) {
    case DType::float32:
      return vector ? plan_vector_product<float, Arch>(p, plan)
                    : plan_product<float, Arch>(call, p, plan);
    case DType::float64:
      return vector ? plan_vector_product<double, Arch>(p, plan)
                    : plan_product<double, Arch>(call, p, plan);
    case DType::int32:
      return plan_integers<std::int32_t, Arch>(p, plan);
    case DType::int64:
      return plan_integers<std::int64_t, Arch>(p, plan);
    default:
      throw_unsupported("matmul", a.dtype);
  }
}

}  // namespace troupe::cpu
