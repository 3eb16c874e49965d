#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>

#include <string>

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

namespace detail {

/// What add and sub do with an alpha: `op` of a and alpha · b.
template <class Op>
[[nodiscard]] Tensor apply_scaled(const Op& op, const Operand& a, const Operand& b, Number alpha) {
  if (alpha.to<double>() == 1) return apply(op, a, b);
  check_defined(a, Op::name);
  check_defined(b, Op::name);
  const Operand both[] = {a, b};
  if (alpha.is_fraction() && !is_floating(result_type(both)))
    throw Error(
        ErrorCode::dtype_mismatch,
        "'alpha' is the fraction " + std::to_string(alpha.to<double>()) + " for integers")
        .op(Op::name)
        .at(a.where().file, a.where().line)
        .hint("cast an input to a floating dtype, or give a whole alpha");
  if (!b.is_number()) {
    const Tensor scaled = apply(Mul{}, b, Operand(alpha, b.where()));
    return apply(op, a, Operand(scaled, b.where()));
  }
  const Number scaled = alpha.is_fraction() || b.number().is_fraction()
                            ? Number(alpha.to<double>() * b.number().to<double>())
                            : Number(static_cast<std::int64_t>(
                                  alpha.to<std::uint64_t>() * b.number().to<std::uint64_t>()));
  return apply(op, a, Operand(scaled, b.where()));
}

}  // namespace detail

/// torch.mul.
[[nodiscard]] inline Tensor mul(const Operand& a, const Operand& b) { return apply(Mul{}, a, b); }
[[nodiscard]] inline Tensor operator*(const Operand& a, const Operand& b) {
  return apply(Mul{}, a, b);
}

}  // namespace troupe
