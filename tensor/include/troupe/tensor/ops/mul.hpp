#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// y = a · b; "and" on bool.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype.
/// Saves    a, b.
struct Mul : Elementwise<Mul, 2> {
  static constexpr OpId id{3};
  static constexpr std::string_view name = "mul";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0.5};
  static constexpr std::uint32_t saves_inputs = 0b11;

  template <class P>
  static auto kernel(P a, P b) {
    return a * b;
  }
  static double reference(double a, double b) { return a * b; }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    if (v.needs(0)) gradients[0] = v.grad() * v.input(1);
    if (v.needs(1)) gradients[1] = v.grad() * v.input(0);
    return gradients;
  }
};

/// torch.mul.
[[nodiscard]] inline Tensor mul(const Operand& a, const Operand& b) { return apply(Mul{}, a, b); }
[[nodiscard]] inline Tensor operator*(const Operand& a, const Operand& b) {
  return apply(Mul{}, a, b);
}

}  // namespace troupe
