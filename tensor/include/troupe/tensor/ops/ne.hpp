#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// Whether a differs from b. NaN differs from all.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    inputs meet in their common dtype; y bool.
struct Ne : ElementwisePredicate<Ne, 2> {
  static constexpr OpId id{41};
  static constexpr std::string_view name = "ne";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P a, P b) {
    return a != b;
  }
  static double reference(double a, double b) { return a != b ? 1 : 0; }
};

/// torch.ne.
[[nodiscard]] inline Tensor ne(const Operand& a, const Operand& b) { return apply(Ne{}, a, b); }

}  // namespace troupe
