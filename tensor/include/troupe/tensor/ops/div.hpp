#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// y = a / b, also of integers; ±∞ or NaN where b is 0.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype, float32 for integers.
/// Saves    a, b.
struct Div : ElementwiseFloating<Div, 2> {
  static constexpr OpId id{4};
  static constexpr std::string_view name = "div";
  static constexpr Samples samples{.low = 0.3, .high = 3, .ulp_max = 0.5};
  static constexpr std::uint32_t saves_inputs = 0b11;

  template <class P>
  static auto kernel(P a, P b) {
    return a / b;
  }
  static double reference(double a, double b) { return a / b; }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    if (v.needs(0)) gradients[0] = v.grad() / v.input(1);
    if (v.needs(1)) gradients[1] = -v.grad() * v.input(0) / square(v.input(1));
    return gradients;
  }
};

/// torch.div.
[[nodiscard]] inline Tensor div(const Operand& a, const Operand& b) { return apply(Div{}, a, b); }
[[nodiscard]] inline Tensor operator/(const Operand& a, const Operand& b) {
  return apply(Div{}, a, b);
}

}  // namespace troupe
