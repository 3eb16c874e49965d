#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = √x; NaN below 0.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    y.
struct Sqrt : ElementwiseFloating<Sqrt, 1> {
  static constexpr OpId id{12};
  static constexpr std::string_view name = "sqrt";
  static constexpr Samples samples{.low = 0.05, .high = 6, .ulp_max = 0.5};
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P x) {
    return sqrt(x);
  }
  static double reference(double x) { return std::sqrt(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() / (v.output() * 2)};
  }
};

/// torch.sqrt.
[[nodiscard]] inline Tensor sqrt(const Operand& x) { return apply(Sqrt{}, x); }

}  // namespace troupe
