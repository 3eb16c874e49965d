#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// dx = dy where y > 0, else 0: the gradient of relu, given its output y.
///
/// Shape    y and dy alike; dx as they.
/// Dtype    floating point; dx as they.
/// Saves    y.
struct ReluBackward : Elementwise<ReluBackward, 2> {
  static constexpr OpId id{70};
  static constexpr std::string_view name = "relu_backward";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0, .gap = 0.05};
  static constexpr std::uint32_t saves_inputs = 0b01;

  template <class P>
  static auto kernel(P y, P dy) {
    return select(y > P(0), dy, P(0));
  }
  static double reference(double y, double dy) { return y > 0 ? dy : 0; }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& y = v.input(0);
    return {Tensor(), apply(ReluBackward{}, y, v.grad())};
  }
};

/// y = max(x, 0); NaN stays.
///
/// Shape    y as x.
/// Dtype    all that compute; y as x.
/// Saves    y.
/// Source   torch.nn.functional.relu: the derivative at 0 is taken as 0.
struct Relu : Elementwise<Relu, 1> {
  static constexpr OpId id{20};
  static constexpr std::string_view name = "relu";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0, .gap = 0.05};
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P x) {
    return max(x, P(0));
  }
  static double reference(double x) { return x > 0 ? x : x * 0; }
  template <class V>
  Gradients vjp(const V& v) const {
    return {apply(ReluBackward{}, v.output(), v.grad())};
  }
};

/// torch.relu.
[[nodiscard]] inline Tensor relu(const Operand& x) { return apply(Relu{}, x); }

}  // namespace troupe
