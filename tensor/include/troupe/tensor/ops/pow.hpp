#pragma once

#include <troupe/core/error.hpp>
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

/// torch.pow. The exponents 2, ½ and −1 take the shorter ways. Throws `invalid_argument` for a
/// whole number below 0 as the exponent of integers.
[[nodiscard]] inline Tensor pow(const Operand& a, const Operand& b) {
  check_defined(a, Pow::name);
  if (!b.is_number() || a.is_number()) return apply(Pow{}, a, b);
  const DType base = a.tensor().dtype();
  const double exponent = b.number().to<double>();
  if (!is_floating(base) && !b.number().is_fraction()) {
    if (exponent < 0)
      throw Error(
          ErrorCode::invalid_argument,
          "the exponent of the integers " + to_string(a.tensor().meta()) + " is " +
              std::to_string(b.number().to<std::int64_t>()) + ", but must not be negative")
          .op(Pow::name)
          .at(a.where().file, a.where().line)
          .hint("cast the base to a floating dtype, or write the exponent as a fraction");
    if (exponent == 2 && base != DType::boolean) return square(a);
  }
  if (exponent == 0.5) return sqrt(a);
  if (is_floating(base)) {
    if (exponent == 2) return square(a);
    if (exponent == -1) return reciprocal(a);
  }
  return apply(Pow{}, a, b);
}

}  // namespace troupe
