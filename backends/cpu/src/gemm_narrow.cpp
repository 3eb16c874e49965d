#include "narrow_dot.hpp"
#include "narrow_sets.hpp"
#include "product_of.hpp"

namespace troupe {
struct Matmul;  // have no attributes, so their names are all the kernels need
struct Linear;
}  // namespace troupe

namespace troupe::cpu {
namespace {

using Unit = DotUnit<avx512bf16>;

/// Whether pairs are what such a call is computed in, and not left to AVX-512 alone. float32 at
/// `high` precision would take three products of parts at twice the rate of FMAs.
bool takes_pairs(const KernelCall& call) noexcept {
  return call.in[0].dtype == DType::bfloat16 ||
         (call.in[0].dtype == DType::float32 && call.precision == Precision::medium);
}

void plan_pairs(const KernelCall& call, Plan& plan, const Product& product) {
  if (call.in[0].dtype == DType::bfloat16)
    plan_narrow<Unit, BFloat16, 1, BFloat16>(product, plan);
  else
    plan_narrow<Unit, float, 1, float>(product, plan);
}

}  // namespace

template <>
void Kernel<Matmul, avx512bf16>::plan(const KernelCall& call, Plan& plan) {
  if (!takes_pairs(call)) return Kernel<Matmul, Arch>::plan(call, plan);
  bool vector = false;
  plan_pairs(call, plan, product_of_matmul<avx512bf16>(call, vector));
}

template <>
void Kernel<Linear, avx512bf16>::plan(const KernelCall& call, Plan& plan) {
  if (!takes_pairs(call)) return Kernel<Linear, Arch>::plan(call, plan);
  bool vector = false;
  plan_pairs(call, plan, product_of_linear<avx512bf16>(call, vector));
}

}  // namespace troupe::cpu
