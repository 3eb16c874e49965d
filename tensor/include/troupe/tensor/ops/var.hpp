#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// y = Σ (x − mean)² / (n − correction) along some axes, or all; in float64, twice over the data.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    float32 or float64; y as x.
/// Saves    x.
/// Errors   `dtype_mismatch` for integers.
/// Source   torch.var; not finite where n ≤ correction.
struct Var : Fold {
  static constexpr OpId id{207};
  static constexpr std::string_view name = "var";
  static constexpr std::uint32_t saves_inputs = 1;

  double correction = 1;  ///< 1: the unbiased estimate

  void infer(std::span<const Meta> in, Metas& out) const {
    require_floating(in[0], "x");
    out.push_back({in[0].dtype, reduced(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& x = v.input();
    const Shape& shape = x.shape();
    const double count = static_cast<double>(folded(shape)) - correction;
    const auto centred = x - mean(x, normalize_axes(axes, shape.size()), true);
    return {kept(v.grad(), shape) * centred * (2 / (count > 0 ? count : 0))};
  }
  template <class V>
  void fields(V& visit) {
    Fold::fields(visit);
    visit.field("correction", correction);
  }
  bool operator==(const Var&) const = default;
};

/// torch.var.
[[nodiscard]] inline Tensor var(
    const Operand& x, const Dims& axes = {}, double correction = 1, bool keepdim = false) {
  auto op = fold_over<Var>(axes, keepdim);
  op.correction = correction;
  return apply(op, x);
}

}  // namespace troupe
