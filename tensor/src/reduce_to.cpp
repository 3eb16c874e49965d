#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/ops/sum.hpp>
#include <troupe/tensor/reduce_to.hpp>

namespace troupe {

Tensor reduce_to(const Tensor& gradient, const Meta& like) {
  Tensor out = gradient;
  if (out.shape() != like.shape) {
    const std::size_t extra = out.rank() - like.shape.size();
    Dims axes;
    for (std::size_t i = 0; i < out.rank(); ++i)
      if (i < extra || (like.shape[i - extra] == 1 && out.shape()[i] != 1))
        axes.push_back(static_cast<std::int64_t>(i));
    if (!axes.empty())
      out = sum(is_computable(out.dtype()) ? out : cast(out, DType::float32), axes, true);
    if (out.shape() != like.shape) out = reshape(out, like.shape);
  }
  if (out.dtype() != like.dtype) out = cast(out, like.dtype);
  return out;
}

Tensor add_gradients(const Tensor& a, const Tensor& b) {
  if (is_computable(a.dtype())) return a + b;
  return cast(cast(a, DType::float32) + cast(b, DType::float32), a.dtype());
}

}  // namespace troupe
