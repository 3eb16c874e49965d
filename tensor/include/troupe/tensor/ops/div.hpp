#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>
#include <cstdint>

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

/// What div does with a quotient: nothing, cut it toward 0, or take the whole number below it.
enum class Rounding : std::uint8_t { none, trunc, floor };

/// y = a / b as a whole number; of integers in all their bits. Integers give 0 where b is 0, for
/// the processor traps there; floats ±∞ or NaN.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype.
/// Source   torch.div with a rounding mode; constant but for jumps, and so without a gradient,
///          where PyTorch gives zeros.
struct DivRounded : Elementwise<DivRounded, 2> {
  static constexpr OpId id{53};
  static constexpr std::string_view name = "div_rounded";
  static constexpr Samples samples{.low = 0.3, .high = 3, .ulp_max = 0};
  static constexpr bool piecewise_constant = true;

  bool down = false;  ///< floor; else trunc

  template <class P>
  auto kernel(P a, P b) const {
    return down ? div_floor(a, b) : div_trunc(a, b);
  }
  [[nodiscard]] double reference(double a, double b) const {
    return down ? std::floor(a / b) : std::trunc(a / b);
  }
  template <class V>
  void fields(V& visit) {
    visit.field("down", down);
  }
  bool operator==(const DivRounded&) const = default;
};

/// torch.div.
[[nodiscard]] inline Tensor div(
    const Operand& a, const Operand& b, Rounding rounding_mode = Rounding::none) {
  if (rounding_mode == Rounding::none) return apply(Div{}, a, b);
  DivRounded op;
  op.down = rounding_mode == Rounding::floor;
  return apply(op, a, b);
}
[[nodiscard]] inline Tensor operator/(const Operand& a, const Operand& b) {
  return apply(Div{}, a, b);
}

}  // namespace troupe
