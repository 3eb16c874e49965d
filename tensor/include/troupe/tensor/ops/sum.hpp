#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// y = Σ x along some axes, or all.
///
/// Added in a fixed tree that depends on the shape alone; floats in float64, rounded once at the
/// end.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    all that compute; integers and bool give int64.
struct Sum : Fold {
  static constexpr OpId id{200};
  static constexpr std::string_view name = "sum";

  void infer(std::span<const Meta> in, Metas& out) const {
    const DType dtype = in[0].dtype;
    out.push_back({is_floating(dtype) ? dtype : DType::int64, reduced(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    return {expand(kept(v.grad(), v.input_meta().shape), v.input_meta().shape)};
  }
};

/// torch.sum.
[[nodiscard]] inline Tensor sum(const Operand& x, const Dims& axes, bool keepdim = false) {
  return apply(fold_over<Sum>(axes, keepdim), x);
}
[[nodiscard]] inline Tensor sum(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<Sum>({axis}, keepdim), x);
}
[[nodiscard]] inline Tensor sum(const Operand& x) { return apply(Sum{}, x); }

}  // namespace troupe
