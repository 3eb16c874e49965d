#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// y = 1 / x.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    y.
struct Reciprocal : ElementwiseFloating<Reciprocal, 1> {
  static constexpr OpId id{15};
  static constexpr std::string_view name = "reciprocal";
  static constexpr Samples samples{.low = 0.2, .high = 4, .ulp_max = 0.5};
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P x) {
    return P(1) / x;
  }
  static double reference(double x) { return 1 / x; }
  template <class V>
  Gradients vjp(const V& v) const {
    return {-v.grad() * v.output() * v.output()};
  }
};

/// torch.reciprocal.
[[nodiscard]] inline Tensor reciprocal(const Operand& x) { return apply(Reciprocal{}, x); }

}  // namespace troupe
