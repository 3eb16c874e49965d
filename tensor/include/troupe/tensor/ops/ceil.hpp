#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// The smallest integer not below x.
///
/// Shape    y as x.
/// Dtype    all that compute; integers stay as they are.
/// Source   a staircase: its derivative is 0 between the steps.
struct Ceil : Elementwise<Ceil, 1> {
  static constexpr OpId id{31};
  static constexpr std::string_view name = "ceil";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 0, .gap = 0, .linear = true};

  template <class P>
  static auto kernel(P x) {
    return ceil(x);
  }
  static double reference(double x) { return std::ceil(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * 0};
  }
};

/// torch.ceil.
[[nodiscard]] inline Tensor ceil(const Operand& x) { return apply(Ceil{}, x); }

}  // namespace troupe
