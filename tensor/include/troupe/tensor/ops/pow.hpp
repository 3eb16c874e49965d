#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/reciprocal.hpp>
#include <troupe/tensor/ops/sqrt.hpp>
#include <troupe/tensor/ops/square.hpp>

#include <cmath>

namespace troupe {

/// y = aᵇ; for integers by squaring, and 0 for negative b unless a is ±1.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype.
/// Saves    a, b.
struct Pow : Elementwise<Pow, 2> {
  static constexpr OpId id{27};
  static constexpr std::string_view name = "pow";
  static constexpr Samples samples{.low = 0.3, .high = 2.5, .ulp_max = 2};
  static constexpr std::uint32_t saves_inputs = 0b11;
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P a, P b) {
    return pow(a, b);
  }
  static double reference(double a, double b) { return std::pow(a, b); }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& a = v.input(0);
    const auto& b = v.input(1);
    Gradients gradients(2);
    // b = 0 has slope 0 even at a = 0, where a^(b − 1) is infinite.
    if (v.needs(0)) gradients[0] = where(eq(b, 0), 0, v.grad() * b * pow(a, b - 1));
    // a = 0 has slope 0 along b ≥ 0, where the logarithm is −∞.
    if (v.needs(1))
      gradients[1] = where(logical_and(eq(a, 0), b >= 0), 0, v.grad() * v.output() * log(a));
    return gradients;
  }
};

/// torch.pow. The exponents 2, ½ and −1 take the shorter ways.
[[nodiscard]] inline Tensor pow(const Operand& a, const Operand& b) {
  if (b.is_number() && !a.is_number()) {
    if (b.number() == 2) return square(a);
    if (b.number() == 0.5) return sqrt(a);
    if (b.number() == -1 && is_floating(a.tensor().dtype())) return reciprocal(a);
  }
  return apply(Pow{}, a, b);
}

}  // namespace troupe
