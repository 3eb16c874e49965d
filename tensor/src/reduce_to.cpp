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
    if (!axes.empty()) out = sum(out, axes, true);
    if (out.shape() != like.shape) out = reshape(out, like.shape);
  }
  if (out.dtype() != like.dtype) out = cast(out, like.dtype);
  return out;
}

}  // namespace troupe
