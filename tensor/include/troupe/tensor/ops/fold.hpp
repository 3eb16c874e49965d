#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/expand.hpp>
#include <troupe/tensor/ops/reshape.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// Base of the ops that fold the elements along some axes into one.
struct Fold : OpDefaults {
  Dims axes;  ///< none: all
  bool keepdim = false;

  /// The output's shape. Throws `dtype_mismatch` for a dtype that does not compute.
  [[nodiscard]] Shape reduced(const Meta& x) const {
    if (!is_computable(x.dtype)) require_floating(x, "x");
    return reduced_shape(x.shape, normalize_axes(axes, x.shape.size()), keepdim);
  }
  /// Elements folded into one.
  [[nodiscard]] std::int64_t folded(const Shape& shape) const {
    std::int64_t n = 1;
    for (const std::int64_t axis : normalize_axes(axes, shape.size()))
      n *= shape[static_cast<std::size_t>(axis)];
    return n;
  }
  /// An output, or its gradient, with size 1 along the folded axes, so that it broadcasts to the
  /// input.
  template <class T>
  [[nodiscard]] T kept(const T& y, const Shape& input) const {
    if (keepdim) return y;
    return reshape(y, reduced_shape(input, normalize_axes(axes, input.size()), true));
  }

  template <class V>
  void fields(V& visit) {
    visit.field("axes", axes);
    visit.field("keepdim", keepdim);
  }
  bool operator==(const Fold&) const = default;

 protected:
  /// Throws `invalid_argument` where nothing would be folded, for there is no largest of none.
  void require_some(const Shape& shape) const {
    if (folded(shape) == 0)
      throw Error(
          ErrorCode::invalid_argument, "there is no element to choose from along these axes")
          .hint("the axes have size 0");
  }
};

template <class Op>
[[nodiscard]] Op fold_over(const Dims& axes, bool keepdim) {
  Op op;
  op.axes = axes;
  op.keepdim = keepdim;
  return op;
}

}  // namespace troupe
