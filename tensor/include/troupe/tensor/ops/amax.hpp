#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// y = the largest of x along some axes, or all; NaN where there is one.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    all that compute; y as x.
/// Saves    x, y.
/// Errors   `invalid_argument` for axes of size 0.
/// Source   torch.amax: elements that tie share the gradient.
struct Amax : Fold {
  static constexpr OpId id{203};
  static constexpr std::string_view name = "amax";
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

/// torch.amax.
[[nodiscard]] inline Tensor amax(const Operand& x, const Dims& axes, bool keepdim = false) {
  return apply(fold_over<Amax>(axes, keepdim), x);
}
[[nodiscard]] inline Tensor amax(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<Amax>({axis}, keepdim), x);
}
[[nodiscard]] inline Tensor amax(const Operand& x) { return apply(Amax{}, x); }

}  // namespace troupe
