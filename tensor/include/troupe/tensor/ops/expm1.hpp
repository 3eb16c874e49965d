#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = eˣ − 1, exact also where x is small.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    y.
struct Expm1 : ElementwiseFloating<Expm1, 1> {
  static constexpr OpId id{11};
  static constexpr std::string_view name = "expm1";
  static constexpr Samples samples{.low = -4, .high = 4, .ulp_max = 3};
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P x) {
    return expm1(x);
  }
  static double reference(double x) { return std::expm1(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * (v.output() + 1)};
  }
};

/// torch.expm1.
[[nodiscard]] inline Tensor expm1(const Operand& x) { return apply(Expm1{}, x); }

}  // namespace troupe
