#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// y = the smallest of x along some axes, or all; NaN where there is one.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    all that compute; y as x.
/// Saves    x, y.
/// Errors   `invalid_argument` for axes of size 0.
/// Source   torch.amin: elements that tie share the gradient.
struct Amin : Fold {
  static constexpr OpId id{204};
  static constexpr std::string_view name = "amin";
  static constexpr std::uint32_t saves_inputs = 1;
  static constexpr std::uint32_t saves_outputs = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_some(in[0].shape);
    out.push_back({in[0].dtype, reduced(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const Shape& shape = v.input_meta().shape;
    const auto best = eq(v.input(), kept(v.output(), shape));
    const auto ties = sum(best, normalize_axes(axes, shape.size()), true);
    return {where(best, kept(v.grad(), shape) / ties, 0)};
  }
};

/// torch.amin.
[[nodiscard]] inline Tensor amin(const Operand& x, const Dims& axes, bool keepdim = false) {
  return apply(fold_over<Amin>(axes, keepdim), x);
}
[[nodiscard]] inline Tensor amin(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<Amin>({axis}, keepdim), x);
}
[[nodiscard]] inline Tensor amin(const Operand& x) { return apply(Amin{}, x); }

}  // namespace troupe
