#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// Whether a equals b. Never where either is NaN.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    inputs meet in their common dtype; y bool.
struct Eq : ElementwisePredicate<Eq, 2> {
  static constexpr OpId id{40};
  static constexpr std::string_view name = "eq";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P a, P b) {
    return a == b;
  }
  static double reference(double a, double b) { return a == b ? 1 : 0; }
};

/// torch.eq.
[[nodiscard]] inline Tensor eq(const Operand& a, const Operand& b) { return apply(Eq{}, a, b); }

}  // namespace troupe
