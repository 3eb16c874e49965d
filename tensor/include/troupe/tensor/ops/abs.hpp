#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = |x|.
///
/// Shape    y as x.
/// Dtype    all that compute; y as x.
/// Saves    x.
/// Source   d|x|/dx = sign(x), 0 at 0.
struct Abs : Elementwise<Abs, 1> {
  static constexpr OpId id{6};
  static constexpr std::string_view name = "abs";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0, .gap = 0.05};
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static auto kernel(P x) {
    return abs(x);
  }
  static double reference(double x) { return std::fabs(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * sign(v.input())};
  }
};

/// torch.abs.
[[nodiscard]] inline Tensor abs(const Operand& x) { return apply(Abs{}, x); }

}  // namespace troupe
