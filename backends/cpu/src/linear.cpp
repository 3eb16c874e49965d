#include "gemm.hpp"
#include "product_of.hpp"
#include "unsupported.hpp"
#include "wide.hpp"

namespace troupe {
struct Linear;  // has no attributes, so its name is all the kernel needs
}

namespace troupe::cpu {

template <>
void Kernel<Linear, Arch>::plan(const KernelCall& call, Plan& plan) {
  const View& x = call.in[0];
  if (!is_computable(x.dtype)) return plan_wide<Arch>(call, plan, &Kernel<Linear, Arch>::plan);
  bool vector = false;
  const Product p = product_of_linear<Arch>(call, vector);
  switch (x.dtype) {
    case DType::float32:
      return vector ? plan_vector_product<float, Arch>(p, plan)
                    : plan_product<float, Arch>(call, p, plan);
    case DType::float64:
      return vector ? plan_vector_product<double, Arch>(p, plan)
                    : plan_product<double, Arch>(call, p, plan);
    default:
      throw_unsupported("linear", x.dtype);
  }
}

}  // namespace troupe::cpu
