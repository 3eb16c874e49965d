#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// y = −x.
///
/// Shape    y as x.
/// Dtype    all that compute; unsigned and bool wrap around.
struct Neg : Elementwise<Neg, 1> {
  static constexpr OpId id{5};
  static constexpr std::string_view name = "neg";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0, .linear = true};

  template <class P>
  static auto kernel(P x) {
    return -x;
  }
  static double reference(double x) { return -x; }
  template <class V>
  Gradients vjp(const V& v) const {
    return {-v.grad()};
  }
};

/// torch.neg.
[[nodiscard]] inline Tensor neg(const Operand& x) { return apply(Neg{}, x); }
[[nodiscard]] inline Tensor operator-(const Tensor& x) { return apply(Neg{}, x); }

}  // namespace troupe
