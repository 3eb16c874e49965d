#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = cos x.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
struct Cos : ElementwiseFloating<Cos, 1> {
  static constexpr OpId id{18};
  static constexpr std::string_view name = "cos";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 3};
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static auto kernel(P x) {
    return cos(x);
  }
  static double reference(double x) { return std::cos(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {-v.grad() * sin(v.input())};
  }
};

/// torch.cos.
[[nodiscard]] inline Tensor cos(const Operand& x) { return apply(Cos{}, x); }

}  // namespace troupe
