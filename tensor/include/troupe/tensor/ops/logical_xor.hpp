#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// Whether exactly one of a and b is other than 0.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    inputs meet in their common dtype; y bool.
struct LogicalXor : ElementwisePredicate<LogicalXor, 2> {
  static constexpr OpId id{48};
  static constexpr std::string_view name = "logical_xor";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P a, P b) {
    return (a != P(0)) ^ (b != P(0));
  }
  static double reference(double a, double b) { return (a != 0) != (b != 0) ? 1 : 0; }
};

/// torch.logical_xor.
[[nodiscard]] inline Tensor logical_xor(const Operand& a, const Operand& b) {
  return apply(LogicalXor{}, a, b);
}

}  // namespace troupe
