#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// y = 1, 0 or −1 as x is above, at or below 0; NaN stays.
///
/// Shape    y as x.
/// Dtype    all that compute; y as x.
/// Source   its derivative is 0 wherever it has one.
struct Sign : Elementwise<Sign, 1> {
  static constexpr OpId id{7};
  static constexpr std::string_view name = "sign";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0, .gap = 0.05, .linear = true};

  template <class P>
  static auto kernel(P x) {
    return select(x > P(0), P(1), select(x == P(0), P(0), select(is_nan(x), x, -P(1))));
  }
  static double reference(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * 0};
  }
};

/// torch.sign.
[[nodiscard]] inline Tensor sign(const Operand& x) { return apply(Sign{}, x); }

}  // namespace troupe
