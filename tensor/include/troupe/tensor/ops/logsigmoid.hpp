#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = log(1 / (1 + exp(−x))) = min(x, 0) − log(1 + exp(−|x|)), exact for large |x|.
///
/// Shape    y as x.
/// Dtype    floating point; y as x.
/// Saves    x.
/// Source   torch.nn.functional.logsigmoid; dx = dy · sigmoid(−x).
struct Logsigmoid : ElementwiseFloating<Logsigmoid, 1> {
  static constexpr OpId id{490};
  static constexpr std::string_view name = "logsigmoid";
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static P kernel(P x) {
    return min(x, P(0)) - log1p(exp(-abs(x)));
  }
  static double reference(double x) { return (x < 0 ? x : 0) - std::log1p(std::exp(-std::abs(x))); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * sigmoid(-v.input())};
  }
};

/// torch.nn.functional.logsigmoid.
[[nodiscard]] inline Tensor logsigmoid(const Operand& x) { return apply(Logsigmoid{}, x); }

}  // namespace troupe
