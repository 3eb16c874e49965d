#pragma once

#include <troupe/tensor/ops/amin.hpp>
#include <troupe/tensor/ops/fold.hpp>
#include <troupe/tensor/ops/values_indices.hpp>

namespace troupe {

/// The smallest element along one axis, and where it stands: the first of several, and a NaN before
/// all numbers.
///
/// Shape    both outputs as x without the axis, or with size 1 there (`keepdim`).
/// Dtype    all that compute; values as x, indices int64.
/// Saves    the indices.
/// Errors   `axis_out_of_range`; `invalid_argument` for an axis of size 0.
/// Source   torch.min with a dimension: the gradient goes to the element at the index alone.
struct Min : Fold {
  static constexpr OpId id{213};
  static constexpr std::string_view name = "min";
  static constexpr std::uint32_t saves_outputs = 0b10;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_some(in[0].shape);
    out.push_back({in[0].dtype, reduced(in[0])});
    out.push_back({DType::int64, reduced(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    if (!v.grad(0)) return Gradients(1);
    const Shape& shape = v.input_meta().shape;
    const auto here = eq(kept(v.output(1), shape), places_along(axes[0], shape));
    return {where(here, kept(v.grad(0), shape), 0)};
  }
};

/// torch.min along one axis.
[[nodiscard]] inline ValuesIndices min(const Operand& x, std::int64_t axis, bool keepdim = false) {
  Tensor outputs[2];
  apply(make_op(fold_over<Min>({axis}, keepdim)), {&x, 1}, outputs);
  return {std::move(outputs[0]), std::move(outputs[1])};
}
/// torch.min of all elements; those that tie share the gradient.
[[nodiscard]] inline Tensor min(const Operand& x) { return apply(Amin{}, x); }

}  // namespace troupe
