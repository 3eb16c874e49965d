#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// Whether a is less than b. Never where either is NaN.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    inputs meet in their common dtype; y bool.
struct Lt : ElementwisePredicate<Lt, 2> {
  static constexpr OpId id{42};
  static constexpr std::string_view name = "lt";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P a, P b) {
    return a < b;
  }
  static double reference(double a, double b) { return a < b ? 1 : 0; }
};

/// torch.lt.
[[nodiscard]] inline Tensor lt(const Operand& a, const Operand& b) { return apply(Lt{}, a, b); }
[[nodiscard]] inline Tensor operator<(const Operand& a, const Operand& b) {
  return apply(Lt{}, a, b);
}

}  // namespace troupe
