#pragma once

#include <troupe/tensor/op.hpp>

#include <limits>

namespace troupe {

/// Elements start, start + step, … below end along one dimension; a view.
///
/// Shape    y as x, but ⌈(end − start) / step⌉ along the dimension.
/// Dtype    any; y as x.
/// Saves    nothing.
/// Errors   `axis_out_of_range`; `invalid_argument` for a step below 1.
/// Source   NumPy's basic slicing: bounds may be negative, and are clipped.
struct Slice : OpDefaults {
  static constexpr OpId id{303};
  static constexpr std::string_view name = "slice";
  static constexpr OpFamily family = OpFamily::view;

  std::int64_t dim = 0;
  std::int64_t start = 0;
  std::int64_t end = std::numeric_limits<std::int64_t>::max();
  std::int64_t step = 1;

  /// First element and number of elements along a dimension of this size.
  struct Range {
    std::int64_t first;
    std::int64_t count;
  };
  [[nodiscard]] Range range(std::int64_t size) const noexcept;

  void infer(std::span<const Meta> in, Metas& out) const;
  [[nodiscard]] ViewOf view(const ValueBody& input, const Meta& output) const;
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("dim", dim);
    visit.field("start", start);
    visit.field("end", end);
    visit.field("step", step);
  }
  bool operator==(const Slice&) const = default;
};

/// dx = dy at the places that a slice took, 0 elsewhere: the gradient of slice.
///
/// Shape    dx as `shape`; dy as the slice of it.
/// Dtype    any; dx as dy.
/// Saves    nothing.
/// Errors   `shape_mismatch`.
struct SliceBackward : OpDefaults {
  static constexpr OpId id{304};
  static constexpr std::string_view name = "slice_backward";

  Slice slice;
  Shape shape;  ///< of what was sliced

  void infer(std::span<const Meta> in, Metas& out) const;
  template <class V>
  Gradients vjp(const V& v) const {
    return {apply(slice, v.grad())};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("slice", slice);
    visit.field("shape", shape);
  }
  bool operator==(const SliceBackward&) const = default;
};

template <class V>
Gradients Slice::vjp(const V& v) const {
  SliceBackward backward;
  backward.slice = *this;
  backward.shape = v.input_meta().shape;
  return {apply(backward, v.grad())};
}

/// x[start:end:step] along a dimension.
[[nodiscard]] inline Tensor slice(
    const Operand& x,
    std::int64_t dim,
    std::int64_t start = 0,
    std::int64_t end = std::numeric_limits<std::int64_t>::max(),
    std::int64_t step = 1) {
  Slice op;
  op.dim = dim;
  op.start = start;
  op.end = end;
  op.step = step;
  return apply(op, x);
}
/// torch.narrow: `length` elements from `start` on; throws `invalid_argument` when there are fewer.
[[nodiscard]] Tensor narrow(
    const Operand& x, std::int64_t dim, std::int64_t start, std::int64_t length);
/// torch.select: one element along a dimension, which goes away; throws `invalid_argument` outside.
[[nodiscard]] Tensor select(const Operand& x, std::int64_t dim, std::int64_t index);

}  // namespace troupe
