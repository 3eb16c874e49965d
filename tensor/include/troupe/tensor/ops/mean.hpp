#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// y = the mean of x along some axes, or all; added like `sum`.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    float32 or float64; y as x.
/// Errors   `dtype_mismatch` for integers: cast them first.
struct Mean : Fold {
  static constexpr OpId id{201};
  static constexpr std::string_view name = "mean";

  void infer(std::span<const Meta> in, Metas& out) const {
    require_floating(in[0], "x");
    out.push_back({in[0].dtype, reduced(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const Shape& shape = v.input_meta().shape;
    const double count = static_cast<double>(folded(shape));
    return {expand(kept(v.grad(), shape) / count, shape)};
  }
};

/// torch.mean.
[[nodiscard]] inline Tensor mean(const Operand& x, const Dims& axes, bool keepdim = false) {
  return apply(fold_over<Mean>(axes, keepdim), x);
}
[[nodiscard]] inline Tensor mean(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<Mean>({axis}, keepdim), x);
}
[[nodiscard]] inline Tensor mean(const Operand& x) { return apply(Mean{}, x); }

}  // namespace troupe
