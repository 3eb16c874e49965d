#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/sigmoid.hpp>

#include <cmath>

namespace troupe {

/// How gelu computes the normal distribution: exactly, or by the older approximation through tanh.
enum class GeluForm : std::uint8_t { none, tanh };

namespace detail {

/// ½·(1 + tanh u) = 1 / (1 + e^(−2u)), the older approximation of the normal distribution, given x
/// and x²: u = √(2/π)·(x + 0.044715·x³).
///
/// The power's base is 2, and its exponent −2u·log₂e = −x·(2 + w) has a second part, what rounding
/// it loses. Where the power exceeds 2⁹⁶ it is made 2⁶⁴ times smaller.
template <class P>
Logistic<P> gelu_gate(P x, P square) {
  const P minus = -x;
  const P twice = minus + minus;
  const P w = fma(square, P(0.10294323958002349), P(0.30220819814432489));
  const P v = fma(minus, w, twice);
  const P low = select(abs(v) < P(256), fma(minus, w, twice - v), P(0));
  const auto far = v > P(96);
  return {exp2(select(far, v - P(64), v), low), far};
}

}  // namespace detail

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
      const P tail = normal_tail(abs(x));
      const P density = P(0.39894228040143268) * exp(P(-0.5) * x * x);
      return dy * fma(x, density, select(x < P(0), tail, P(1) - tail));
    }
    const P square = x * x;
    const P slope = fma(square, P(3 * 0.071354816272600249), P(1.595769121605731));
    return dy * detail::gelu_gate(x, square).gradient(x, slope);
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
    if (approximate == GeluForm::none) {
      // Of x·Φ(x) only the part that is not x itself, or not 0, is computed. At 40 the tail is 0.
      const P a = abs(x);
      return at_least(0, x) - at_most(40, a) * normal_tail(a);
    }
    return detail::gelu_gate(x, x * x).times(x);
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
