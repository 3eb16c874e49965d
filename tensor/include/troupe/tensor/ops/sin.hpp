#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = sin x.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
struct Sin : ElementwiseFloating<Sin, 1> {
  static constexpr OpId id{16};
  static constexpr std::string_view name = "sin";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 3};
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static auto kernel(P x) {
    return sin(x);
  }
  static double reference(double x) { return std::sin(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * cos(v.input())};
  }
};

/// torch.sin.
[[nodiscard]] inline Tensor sin(const Operand& x) { return apply(Sin{}, x); }

}  // namespace troupe
