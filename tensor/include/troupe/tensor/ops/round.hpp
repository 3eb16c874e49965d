#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// The nearest integer; halves go to the even one.
///
/// Shape    y as x.
/// Dtype    all that compute; integers stay as they are.
/// Source   a staircase: its derivative is 0 between the steps.
struct Round : Elementwise<Round, 1> {
  static constexpr OpId id{32};
  static constexpr std::string_view name = "round";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 0, .gap = 0, .linear = true};

  template <class P>
  static auto kernel(P x) {
    return round(x);
  }
  static double reference(double x) { return std::nearbyint(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * 0};
  }
};

/// torch.round.
[[nodiscard]] inline Tensor round(const Operand& x) { return apply(Round{}, x); }

}  // namespace troupe
