#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/sigmoid.hpp>

#include <cmath>

namespace troupe {

/// dx = dy · s · (1 + x · (1 − s)), s = sigmoid(x): the gradient of silu.
///
/// Shape    x and dy alike; dx as they.
/// Dtype    floating point; dx as they.
/// Saves    both.
struct SiluBackward : ElementwiseFloating<SiluBackward, 2> {
  static constexpr OpId id{74};
  static constexpr std::string_view name = "silu_backward";
  static constexpr Samples samples{.low = -4, .high = 4, .ulp_max = 6, .scale = 1};
  static constexpr std::uint32_t saves_inputs = 0b11;

  template <class P>
  static auto kernel(P x, P dy) {
    return dy * detail::Logistic<P>::of(x).gradient(x, P(1));
  }
  static double reference(double x, double dy) {
    return dy / (1 + std::exp(-x)) * (1 + x * (1 - 1 / (1 + std::exp(-x))));
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& x = v.input(0);
    const auto& dy = v.input(1);
    const auto& g = v.grad();
    const auto s = sigmoid(x);
    // d/dx of s + x·s·(1 − s) is s·(1 − s)·(2 + x·(1 − 2s)).
    return {g * dy * (s * (1 - s) * (x * (1 - s * 2) + 2)), apply(SiluBackward{}, x, g)};
  }
};

/// y = x · sigmoid(x), also called swish.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
struct Silu : ElementwiseFloating<Silu, 1> {
  static constexpr OpId id{24};
  static constexpr std::string_view name = "silu";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 4};
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static auto kernel(P x) {
    return detail::Logistic<P>::of(x).times(x);
  }
  static double reference(double x) { return x / (1 + std::exp(-x)); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {apply(SiluBackward{}, v.input(), v.grad())};
  }
};

/// torch.nn.functional.silu.
[[nodiscard]] inline Tensor silu(const Operand& x) { return apply(Silu{}, x); }

}  // namespace troupe
