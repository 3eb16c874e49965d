#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// dx = dy · (1 − y²): the gradient of tanh, given its output y.
///
/// Shape    y and dy alike; dx as they.
/// Dtype    floating point; dx as they.
/// Saves    both.
struct TanhBackward : ElementwiseFloating<TanhBackward, 2> {
  static constexpr OpId id{72};
  static constexpr std::string_view name = "tanh_backward";
  static constexpr Samples samples{.low = -0.9, .high = 0.9, .ulp_max = 6};
  static constexpr std::uint32_t saves_inputs = 0b11;

  template <class P>
  static auto kernel(P y, P dy) {
    return dy * (P(1) - y * y);
  }
  static double reference(double y, double dy) { return dy * (1 - y * y); }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& y = v.input(0);
    const auto& dy = v.input(1);
    const auto& g = v.grad();
    return {g * dy * y * -2, apply(TanhBackward{}, y, g)};
  }
};

/// y = tanh x.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    y.
/// Source   DLMF §4.34: d tanh(x)/dx = 1 − tanh²(x).
struct Tanh : ElementwiseFloating<Tanh, 1> {
  static constexpr OpId id{17};
  static constexpr std::string_view name = "tanh";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 3};
  static constexpr std::uint32_t saves_outputs = 1;

  template <class P>
  static auto kernel(P x) {
    return tanh(x);
  }
  static double reference(double x) { return std::tanh(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {apply(TanhBackward{}, v.output(), v.grad())};
  }
};

/// torch.tanh.
[[nodiscard]] inline Tensor tanh(const Operand& x) { return apply(Tanh{}, x); }

}  // namespace troupe
