#pragma once

#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// y = √var, the standard deviation along some axes, or all.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    float32 or float64; y as x.
/// Saves    x, y.
/// Errors   `dtype_mismatch` for integers.
/// Source   torch.std; `std_` in C++, for the namespace has the name.
struct Std : Fold {
  static constexpr OpId id{208};
  static constexpr std::string_view name = "std";
  static constexpr std::uint32_t saves_inputs = 1;
  static constexpr std::uint32_t saves_outputs = 1;

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
    const auto y = kept(v.output(), shape);
    // Where all elements are equal the root has no slope; 0 is taken, as in PyTorch.
    return {where(eq(y, 0), 0, kept(v.grad(), shape) * centred / (y * (count > 0 ? count : 0)))};
  }
  template <class V>
  void fields(V& visit) {
    Fold::fields(visit);
    visit.field("correction", correction);
  }
  bool operator==(const Std&) const = default;
};

/// torch.std.
[[nodiscard]] inline Tensor std_(
    const Operand& x, const Dims& axes = {}, double correction = 1, bool keepdim = false) {
  auto op = fold_over<Std>(axes, keepdim);
  op.correction = correction;
  return apply(op, x);
}

}  // namespace troupe
