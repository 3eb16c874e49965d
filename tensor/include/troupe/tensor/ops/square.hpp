#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// y = x².
///
/// Shape    y as x.
/// Dtype    all that compute; y as x.
/// Saves    x.
struct Square : Elementwise<Square, 1> {
  static constexpr OpId id{14};
  static constexpr std::string_view name = "square";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0.5};
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static auto kernel(P x) {
    return x * x;
  }
  static double reference(double x) { return x * x; }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * v.input() * 2};
  }
};

/// torch.square.
[[nodiscard]] inline Tensor square(const Operand& x) { return apply(Square{}, x); }

}  // namespace troupe
