#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = 1 / √x, by division, not by the processor's estimate.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    y.
struct Rsqrt : ElementwiseFloating<Rsqrt, 1> {
  static constexpr OpId id{13};
  static constexpr std::string_view name = "rsqrt";
  static constexpr Samples samples{.low = 0.05, .high = 6, .ulp_max = 2};
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P x) {
    return P(1) / sqrt(x);
  }
  static double reference(double x) { return 1 / std::sqrt(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto y = v.output();
    return {v.grad() * y * y * y * -0.5};
  }
};

/// torch.rsqrt.
[[nodiscard]] inline Tensor rsqrt(const Operand& x) { return apply(Rsqrt{}, x); }

}  // namespace troupe
