#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = the larger of a and b; NaN where either is.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype.
/// Saves    a, b.
struct Maximum : Elementwise<Maximum, 2> {
  static constexpr OpId id{28};
  static constexpr std::string_view name = "maximum";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0, .linear = true};
  static constexpr std::uint32_t saves_inputs = 0b11;

  template <class P>
  static auto kernel(P a, P b) {
    return max(a, b);
  }
  static double reference(double a, double b) {
    return std::isnan(a) ? a : std::isnan(b) ? b : std::fmax(a, b);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    // Where both are equal each gets half, as in PyTorch.
    const auto& a = v.input(0);
    const auto& b = v.input(1);
    const auto half = where(eq(a, b), v.grad() * 0.5, v.grad());
    Gradients gradients(2);
    if (v.needs(0)) gradients[0] = where(a >= b, half, 0);
    if (v.needs(1)) gradients[1] = where(b >= a, half, 0);
    return gradients;
  }
};

/// torch.maximum.
[[nodiscard]] inline Tensor maximum(const Operand& a, const Operand& b) {
  return apply(Maximum{}, a, b);
}

}  // namespace troupe
