#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

namespace detail {

/// 1 / (1 + e^(−x)). Where the power is far from 1, from e⁶⁴ on, it is made 2⁶⁴ times smaller, and
/// so is the numerator: else it would overflow before the quotient underflows.
template <class P>
struct Logistic {
  P power;
  typename P::Mask far;

  static Logistic of(P x) {
    const auto far = x < P(-64);
    return {exp_scaled(-x, select(far, P(64), P(0))), far};
  }
  /// numerator / (1 + e^(−x)).
  [[nodiscard]] P times(P numerator) const {
    return numerator * select(far, P(0x1p-64), P(1)) / (P(1) + power);
  }
  /// s·(1 + x·(1 − s)·slope) for s = 1 / (1 + e^(−x)), without the cancellation in 1 − s.
  [[nodiscard]] P gradient(P x, P slope) const {
    const P inverse = P(1) / (P(1) + power);
    const P rest = select(far, P(1), power * inverse);
    return select(far, P(0x1p-64), P(1)) * inverse * fma(x * rest, slope, P(1));
  }
};

}  // namespace detail

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
    return detail::Logistic<P>::of(x).times(P(1));
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
