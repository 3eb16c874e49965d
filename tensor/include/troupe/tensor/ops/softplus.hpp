#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = ln(1 + e^(beta·x)) / beta, a smooth relu; x itself where beta·x passes the threshold.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
struct Softplus : ElementwiseFloating<Softplus, 1> {
  static constexpr OpId id{23};
  static constexpr std::string_view name = "softplus";
  static constexpr Samples samples{.low = -6, .high = 6, .ulp_max = 4};
  static constexpr std::uint32_t saves_inputs = 1;

  double beta = 1;
  double threshold = 20;

  template <class P>
  auto kernel(P x) const {
    const P scaled = x * P(beta);
    const P y = max(scaled, P(0)) + log1p(exp(-abs(scaled)));
    return select(scaled > P(threshold), x, y / P(beta));
  }
  [[nodiscard]] double reference(double x) const {
    return beta * x > threshold ? x : std::log1p(std::exp(beta * x)) / beta;
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto scaled = v.input() * beta;
    return {where(scaled > threshold, v.grad(), v.grad() * sigmoid(scaled))};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("beta", beta);
    visit.field("threshold", threshold);
  }
  bool operator==(const Softplus&) const = default;
};

/// torch.nn.functional.softplus.
[[nodiscard]] inline Tensor softplus(const Operand& x, double beta = 1, double threshold = 20) {
  Softplus op;
  op.beta = beta;
  op.threshold = threshold;
  return apply(op, x);
}

}  // namespace troupe
