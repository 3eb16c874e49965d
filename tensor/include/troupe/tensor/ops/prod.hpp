#pragma once

#include <troupe/tensor/ops/copy.hpp>
#include <troupe/tensor/ops/fold.hpp>

namespace troupe {

/// y = Π x along some axes, or all; floats multiplied in float64.
///
/// Shape    y as x without the axes, or with size 1 there (`keepdim`).
/// Dtype    all that compute; integers and bool give int64.
/// Saves    x.
struct Prod : Fold {
  static constexpr OpId id{202};
  static constexpr std::string_view name = "prod";
  static constexpr std::uint32_t saves_inputs = 1;

  void infer(std::span<const Meta> in, Metas& out) const {
    const DType dtype = in[0].dtype;
    out.push_back({is_floating(dtype) ? dtype : DType::int64, reduced(in[0])});
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& x = v.input();
    const Shape& shape = x.shape();
    // The product of the others is y / x, but where zeros are: with one it is that of the rest, at
    // the zero only; with more it is 0.
    const auto zero = eq(x, 0);
    const auto zeros = sum(zero, axes_or_all(shape), true);
    const auto filled = where(zero, 1, x);
    const auto rest = apply(fold_over<Prod>(axes_or_all(shape), true), filled);
    const auto others =
        where(zero, where(eq(zeros, 1), rest, 0), where(eq(zeros, 0), rest / filled, 0));
    return {kept(v.grad(), shape) * others};
  }

 private:
  [[nodiscard]] Dims axes_or_all(const Shape& shape) const {
    return normalize_axes(axes, shape.size());
  }
};

/// torch.prod. Of a copy in row-major order: what is multiplied rounds by the order, and that must
/// not follow the input's layout.
[[nodiscard]] inline Tensor prod(const Operand& x, const Dims& axes, bool keepdim = false) {
  return apply(fold_over<Prod>(axes, keepdim), contiguous(x));
}
[[nodiscard]] inline Tensor prod(const Operand& x, std::int64_t axis, bool keepdim = false) {
  return apply(fold_over<Prod>({axis}, keepdim), contiguous(x));
}
[[nodiscard]] inline Tensor prod(const Operand& x) { return apply(Prod{}, contiguous(x)); }

}  // namespace troupe
