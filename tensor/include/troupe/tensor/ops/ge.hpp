#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// Whether a is at least b. Never where either is NaN.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    inputs meet in their common dtype; y bool.
struct Ge : ElementwisePredicate<Ge, 2> {
  static constexpr OpId id{45};
  static constexpr std::string_view name = "ge";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P a, P b) {
    return a >= b;
  }
  static double reference(double a, double b) { return a >= b ? 1 : 0; }
};

/// torch.ge.
[[nodiscard]] inline Tensor ge(const Operand& a, const Operand& b) { return apply(Ge{}, a, b); }
[[nodiscard]] inline Tensor operator>=(const Operand& a, const Operand& b) {
  return apply(Ge{}, a, b);
}

}  // namespace troupe
