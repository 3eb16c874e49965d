#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = ln(1 + x), exact also where x is small.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
struct Log1p : ElementwiseFloating<Log1p, 1> {
  static constexpr OpId id{10};
  static constexpr std::string_view name = "log1p";
  static constexpr Samples samples{.low = -0.9, .high = 4, .ulp_max = 2};
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static auto kernel(P x) {
    return log1p(x);
  }
  static double reference(double x) { return std::log1p(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() / (v.input() + 1)};
  }
};

/// torch.log1p.
[[nodiscard]] inline Tensor log1p(const Operand& x) { return apply(Log1p{}, x); }

}  // namespace troupe
