#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = x where x > 0, else slope · x.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
struct LeakyRelu : ElementwiseFloating<LeakyRelu, 1> {
  static constexpr OpId id{21};
  static constexpr std::string_view name = "leaky_relu";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 1, .gap = 0.05, .linear = true};
  static constexpr std::uint32_t saves_inputs = 1;

  double negative_slope = 0.01;

  template <class P>
  auto kernel(P x) const {
    return select(x > P(0), x, x * P(negative_slope));
  }
  [[nodiscard]] double reference(double x) const { return x > 0 ? x : negative_slope * x; }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& x = v.input();
    return {where(x > 0, v.grad(), v.grad() * negative_slope)};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("negative_slope", negative_slope);
  }
  bool operator==(const LeakyRelu&) const = default;
};

/// torch.nn.functional.leaky_relu.
[[nodiscard]] inline Tensor leaky_relu(const Operand& x, double negative_slope = 0.01) {
  LeakyRelu op;
  op.negative_slope = negative_slope;
  return apply(op, x);
}

}  // namespace troupe
