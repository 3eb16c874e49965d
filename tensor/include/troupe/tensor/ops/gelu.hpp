#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// How gelu computes the normal distribution: exactly, or by the older approximation through tanh.
enum class GeluForm : std::uint8_t { none, tanh };

/// dx = dy · d gelu(x)/dx: the gradient of gelu.
///
/// Shape    x and dy alike; dx as they.
/// Dtype    floating point; dx as they.
/// Saves    both.
struct GeluBackward : ElementwiseFloating<GeluBackward, 2> {
  static constexpr OpId id{71};
  static constexpr std::string_view name = "gelu_backward";
  static constexpr Samples samples{.low = -4, .high = 4, .ulp_max = 8, .scale = 1};
  static constexpr std::uint32_t saves_inputs = 0b11;

  GeluForm approximate = GeluForm::none;

  template <class P>
  auto kernel(P x, P dy) const {
    if (approximate == GeluForm::none) {
      const P cdf = P(0.5) * (P(1) + erf(x * P(0.70710678118654752)));
      const P density = P(0.39894228040143268) * exp(P(-0.5) * x * x);
      return dy * (cdf + x * density);
    }
    const P square = x * x;
    const P t = tanh(x * P(0.79788456080286536) * (P(1) + P(0.044715) * square));
    const P inner = P(0.79788456080286536) * (P(1) + P(3 * 0.044715) * square);
    return dy * P(0.5) * (P(1) + t + x * (P(1) - t * t) * inner);
  }
  [[nodiscard]] double reference(double x, double dy) const {
    if (approximate == GeluForm::none)
      return dy * (0.5 * std::erfc(-x * std::sqrt(0.5)) +
                   x * std::exp(-0.5 * x * x) * 0.3989422804014326779);
    const double c = 0.7978845608028653559;
    const double t = std::tanh(c * (x + 0.044715 * x * x * x));
    return dy * 0.5 * (1 + t + x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x));
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& x = v.input(0);
    const auto& dy = v.input(1);
    const auto& g = v.grad();
    Gradients gradients(2);
    if (v.needs(0)) {
      if (approximate == GeluForm::none) {
        // The second derivative is (2 − x²) times the normal density.
        const auto density = exp(square(x) * -0.5) * 0.39894228040143268;
        gradients[0] = g * dy * (2 - square(x)) * density;
      } else {
        const double c = 0.79788456080286536;
        const auto t = tanh(x * c * (square(x) * 0.044715 + 1));
        const auto slope = (square(x) * (3 * 0.044715) + 1) * c;
        const auto bend = x * (6 * 0.044715 * c);
        const auto s = 1 - square(t);
        gradients[0] = g * dy * (s * (slope + x * (bend * 0.5 - t * square(slope))));
      }
    }
    if (v.needs(1)) gradients[1] = apply(*this, x, g);
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("approximate", approximate);
  }
  bool operator==(const GeluBackward&) const = default;
};

/// y = x · Φ(x), Φ the normal distribution function.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
/// Source   Hendrycks and Gimpel 2016; torch.nn.functional.gelu.
struct Gelu : ElementwiseFloating<Gelu, 1> {
  static constexpr OpId id{25};
  static constexpr std::string_view name = "gelu";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 4, .scale = 1};
  static constexpr std::uint32_t saves_inputs = 1;

  GeluForm approximate = GeluForm::none;

  template <class P>
  auto kernel(P x) const {
    if (approximate == GeluForm::none) return P(0.5) * x * (P(1) + erf(x * P(0.70710678118654752)));
    return P(0.5) * x * (P(1) + tanh(x * P(0.79788456080286536) * (P(1) + P(0.044715) * x * x)));
  }
  [[nodiscard]] double reference(double x) const {
    if (approximate == GeluForm::none) return 0.5 * x * std::erfc(-x * std::sqrt(0.5));
    return 0.5 * x * (1 + std::tanh(0.7978845608028653559 * (x + 0.044715 * x * x * x)));
  }
  template <class V>
  Gradients vjp(const V& v) const {
    GeluBackward backward;
    backward.approximate = approximate;
    return {apply(backward, v.input(), v.grad())};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("approximate", approximate);
  }
  bool operator==(const Gelu&) const = default;
};

/// torch.nn.functional.gelu.
[[nodiscard]] inline Tensor gelu(const Operand& x, GeluForm approximate = GeluForm::none) {
  Gelu op;
  op.approximate = approximate;
  return apply(op, x);
}

}  // namespace troupe
