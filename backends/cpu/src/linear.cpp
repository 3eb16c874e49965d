#include "gemm.hpp"
#include "unsupported.hpp"
#include "wide.hpp"

namespace troupe {
struct Linear;  // has no attributes, so its name is all the kernel needs
}

namespace troupe::cpu {

template <>
void Kernel<Linear, Arch>::plan(const KernelCall& call, Plan& plan) {
  const View& x = call.in[0];
  const View& weight = call.in[1];
  if (!is_computable(x.dtype)) return plan_wide<Arch>(call, plan, &Kernel<Linear, Arch>::plan);
  const std::size_t rank = x.shape.size();
  Product p;
  p.k = x.shape[rank - 1];
  p.n = weight.shape[0];
  p.a_k = x.strides[rank - 1];
  p.b_k = weight.strides[1];
  p.b_column = weight.strides[0];

  // All leading dimensions are rows; where they do not lie evenly, the outer ones are a batch.
  std::int64_t rows = 1;
  for (std::size_t axis = 0; axis + 1 < rank; ++axis) rows *= x.shape[axis];
  bool even = true;
  bool first = true;  // not told by the step: an expanded axis has the stride 0
  std::int64_t step = 0;
  for (std::size_t axis = rank - 1; axis-- > 0;) {
    if (x.shape[axis] == 1) continue;
    if (first)
      p.a_row = step = x.strides[axis];
    else
      even = even && x.strides[axis] == step;
    first = false;
    step *= x.shape[axis];
  }
  p.m = rows;
  if (!even) {
    p.m = x.shape[rank - 2];
    p.a_row = x.strides[rank - 2];
    p.batch = rows / p.m;
  }
  const bool vector = rows == 1 || p.n == 1;
  switch (x.dtype) {
    case DType::float32:
      return vector ? plan_vector_product<float, Arch>(p, plan)
                    : plan_product<float, Arch>(p, plan);
    case DType::float64:
      return vector ? plan_vector_product<double, Arch>(p, plan)
                    : plan_product<double, Arch>(p, plan);
    default:
      throw_unsupported("linear", x.dtype);
  }
}

}  // namespace troupe::cpu
