#include "cooperative.hpp"

#include <troupe/tensor/ops/linear.hpp>

namespace troupe::vulkan {

namespace {

/// @param bias  contiguous, or null
Product product_of(const Value& x, const Value& weight, const Value& bias) {
  const std::size_t rank = x->shape().size();
  const auto size = [](std::int64_t n) { return static_cast<std::uint32_t>(n); };
  Product p;
  p.left = x;
  p.right = weight;
  p.bias = bias;
  p.depth = size(x->shape().back());
  p.columns = size(weight->shape()[0]);
  p.left_layout.k = size(x->strides().back());
  p.right_layout = {size(weight->strides()[0]), size(weight->strides()[1])};

  // All leading dimensions are rows; where they do not lie evenly, the outer ones are a batch.
  p.rows = 1;
  std::size_t axis = rank - 1;
  for (; axis-- > 0;) {
    const std::uint32_t count = size(x->shape()[axis]);
    const std::uint32_t step = size(x->strides()[axis]);
    if (count == 1) continue;
    if (p.rows == 1)
      p.left_layout.row = step;
    else if (step != p.left_layout.row * p.rows)
      break;
    p.rows *= count;
  }
  for (std::size_t i = 0; i + 1 < rank && axis < rank && i <= axis; ++i)
    p.batch[p.batch_rank++] = {size(x->shape()[i]), size(x->strides()[i]), 0};
  return p;
}

}  // namespace

template <>
void Kernel<Linear>::encode(Encoder& encoder, const Linear&) {
  const Value& x = encoder.in(0);
  const Value& weight = encoder.in(1);
  const Value bias = encoder.inputs() > 2 ? encoder.contiguous(encoder.in(2)) : Value();
  Product product = product_of(x, weight, bias);
  product.epilogue = encoder.epilogue();
  if (is_computable(x->dtype())) return encode_product(encoder, product);
  if (encoder.out(0)->meta().elements() == 0 || encode_cooperative(encoder, product)) return;
  const Value wide_x = widened(encoder, x), wide_weight = widened(encoder, weight);
  encode_rounded(encoder, product_of(wide_x, wide_weight, widened(encoder, bias)));
}

}  // namespace troupe::vulkan
