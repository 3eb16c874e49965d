#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// dx = dy · y · (1 − y): the gradient of sigmoid, given its output y.
///
/// Shape    y and dy alike; dx as they.
/// Dtype    floating point; dx as they.
/// Saves    both.
struct SigmoidBackward : ElementwiseFloating<SigmoidBackward, 2> {
  static constexpr OpId id{73};
  static constexpr std::string_view name = "sigmoid_backward";
  static constexpr Samples samples{.low = 0.05, .high = 0.95, .ulp_max = 6};
  static constexpr std::uint32_t saves_inputs = 0b11;

  template <class P>
  static auto kernel(P y, P dy) {
    return dy * ((P(1) - y) * y);
  }
  static double reference(double y, double dy) { return dy * y * (1 - y); }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& y = v.input(0);
    const auto& dy = v.input(1);
    const auto& g = v.grad();
    return {g * dy * (1 - y * 2), apply(SigmoidBackward{}, y, g)};
  }
};

/// y = 1 / (1 + e^(−x)).
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    y.
/// Source   dy/dx = y · (1 − y).
struct Sigmoid : ElementwiseFloating<Sigmoid, 1> {
  static constexpr OpId id{19};
  static constexpr std::string_view name = "sigmoid";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 3};
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P x) {
    // e^(−|x|) cannot overflow, and serves both signs.
    const P z = exp(-abs(x));
    return select(x < P(0), z, P(1)) / (P(1) + z);
  }
  static double reference(double x) { return 1 / (1 + std::exp(-x)); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {apply(SigmoidBackward{}, v.output(), v.grad())};
  }
};

/// torch.sigmoid.
[[nodiscard]] inline Tensor sigmoid(const Operand& x) { return apply(Sigmoid{}, x); }

}  // namespace troupe
