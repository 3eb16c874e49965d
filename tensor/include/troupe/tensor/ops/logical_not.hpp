#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// Whether x is 0.
///
/// Shape    y as x.
/// Dtype    all that compute; y bool.
struct LogicalNot : ElementwisePredicate<LogicalNot, 1> {
  static constexpr OpId id{49};
  static constexpr std::string_view name = "logical_not";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P x) {
    return x == P(0);
  }
  static double reference(double x) { return x == 0 ? 1 : 0; }
};

/// torch.logical_not.
[[nodiscard]] inline Tensor logical_not(const Operand& x) { return apply(LogicalNot{}, x); }

}  // namespace troupe
