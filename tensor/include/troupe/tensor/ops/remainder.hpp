#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// What dividing a by b downward leaves, with b's sign; exact. For integers 0 where b is 0.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype.
/// Saves    a, b.
struct Remainder : Elementwise<Remainder, 2> {
  static constexpr OpId id{34};
  static constexpr std::string_view name = "remainder";
  static constexpr Samples samples{.low = 0.6, .high = 3, .ulp_max = 4, .gap = 0.05, .scale = 1};
  static constexpr std::uint32_t saves_inputs = 0b11;

  template <class P>
  static auto kernel(P a, P b) {
    const P left = fmod(a, b);
    return select((left != P(0)) & ((left < P(0)) ^ (b < P(0))), left + b, left);
  }
  static double reference(double a, double b) { return a - b * std::floor(a / b); }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    if (v.needs(0)) gradients[0] = v.grad();
    if (v.needs(1)) gradients[1] = -v.grad() * floor(v.input(0) / v.input(1));
    return gradients;
  }
};

/// torch.remainder.
[[nodiscard]] inline Tensor remainder(const Operand& a, const Operand& b) {
  return apply(Remainder{}, a, b);
}

}  // namespace troupe
