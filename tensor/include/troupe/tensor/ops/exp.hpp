#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = eˣ.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    y.
struct Exp : ElementwiseFloating<Exp, 1> {
  static constexpr OpId id{8};
  static constexpr std::string_view name = "exp";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 2};
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P x) {
    return exp(x);
  }
  static double reference(double x) { return std::exp(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * v.output()};
  }
};

/// torch.exp.
[[nodiscard]] inline Tensor exp(const Operand& x) { return apply(Exp{}, x); }

}  // namespace troupe
