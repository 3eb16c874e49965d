#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// The largest integer not above x.
///
/// Shape    y as x.
/// Dtype    all that compute; integers stay as they are.
/// Source   a staircase: its derivative is 0 between the steps.
struct Floor : Elementwise<Floor, 1> {
  static constexpr OpId id{30};
  static constexpr std::string_view name = "floor";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 0, .gap = 0, .linear = true};

  template <class P>
  static auto kernel(P x) {
    return floor(x);
  }
  static double reference(double x) { return std::floor(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * 0};
  }
};

/// torch.floor.
[[nodiscard]] inline Tensor floor(const Operand& x) { return apply(Floor{}, x); }

}  // namespace troupe
