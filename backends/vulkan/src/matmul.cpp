#include "cooperative.hpp"

#include <troupe/tensor/ops/matmul.hpp>

#include <algorithm>

namespace troupe::vulkan {

namespace {

/// The product of two operands in whatever layout; the batch is that of `shape`.
Product product_of(const Value& a, const Value& b, const Shape& shape) {
  const std::size_t a_rank = a->shape().size();
  const std::size_t b_rank = b->shape().size();
  const auto size = [](std::int64_t n) { return static_cast<std::uint32_t>(n); };
  // A vector is a row on the left, a column on the right.
  Product p;
  p.left = a;
  p.right = b;
  p.depth = size(a->shape().back());
  p.left_layout.k = size(a->strides().back());
  p.rows = a_rank > 1 ? size(a->shape()[a_rank - 2]) : 1;
  p.left_layout.row = a_rank > 1 ? size(a->strides()[a_rank - 2]) : 0;
  p.columns = b_rank > 1 ? size(b->shape().back()) : 1;
  p.right_layout.row = b_rank > 1 ? size(b->strides().back()) : 0;
  p.right_layout.k = size(b->strides()[b_rank > 1 ? b_rank - 2 : 0]);

  const std::size_t batch_rank = std::max({a_rank, b_rank, std::size_t{2}}) - 2;
  p.batch_rank = batch_rank;
  bool one_b = true;
  for (std::size_t axis = 0; axis < batch_rank; ++axis) {
    const auto step = [&](const Value& value) -> std::uint32_t {
      // Broadcasting aligns the last dimensions, and leaves those of size 1 where they are.
      const std::size_t missing = batch_rank + 2 - value->shape().size();
      if (value->shape().size() < 2 || axis < missing) return 0;
      return value->shape()[axis - missing] == 1 ? 0 : size(value->strides()[axis - missing]);
    };
    p.batch[axis] = {size(shape[axis]), step(a), step(b)};
    one_b = one_b && (p.batch[axis].size == 1 || p.batch[axis].right == 0);
  }
  // One B for all: the rows of all matrices are the rows of one, where they lie evenly.
  while (one_b && p.batch_rank > 0) {
    const BatchAxis& axis = p.batch[p.batch_rank - 1];
    if (axis.size > 1) {
      if (p.rows == 1)
        p.left_layout.row = axis.left;
      else if (axis.left != p.left_layout.row * p.rows)
        break;
      p.rows *= axis.size;
    }
    --p.batch_rank;
  }
  return p;
}

}  // namespace

template <>
void Kernel<Matmul>::encode(Encoder& encoder, const Matmul&) {
  const Value& a = encoder.in(0);
  const Value& b = encoder.in(1);
  const Shape& shape = encoder.out(0)->shape();
  Product product = product_of(a, b, shape);
  product.epilogue = encoder.epilogue();
  if (is_computable(a->dtype())) return encode_product(encoder, product);
  if (encoder.out(0)->meta().elements() == 0 || encode_cooperative(encoder, product)) return;
  encode_rounded(encoder, product_of(widened(encoder, a), widened(encoder, b), shape));
}

}  // namespace troupe::vulkan
