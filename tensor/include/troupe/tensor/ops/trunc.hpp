#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// x without its fraction.
///
/// Shape    y as x.
/// Dtype    all that compute; integers stay as they are.
/// Source   a staircase: its derivative is 0 between the steps.
struct Trunc : Elementwise<Trunc, 1> {
  static constexpr OpId id{33};
  static constexpr std::string_view name = "trunc";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 0, .gap = 0, .linear = true};

  template <class P>
  static auto kernel(P x) {
    return trunc(x);
  }
  static double reference(double x) { return std::trunc(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * 0};
  }
};

/// torch.trunc.
[[nodiscard]] inline Tensor trunc(const Operand& x) { return apply(Trunc{}, x); }

}  // namespace troupe
