#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = x where x > 0, else alpha · (eˣ − 1).
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
struct Elu : ElementwiseFloating<Elu, 1> {
  static constexpr OpId id{22};
  static constexpr std::string_view name = "elu";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 4, .gap = 0.05};
  static constexpr std::uint32_t saves_inputs = 1;

  double alpha = 1;

  template <class P>
  auto kernel(P x) const {
    return select(x > P(0), x, expm1(min(x, P(0))) * P(alpha));
  }
  [[nodiscard]] double reference(double x) const { return x > 0 ? x : alpha * std::expm1(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& x = v.input();
    return {where(x > 0, v.grad(), v.grad() * (exp(minimum(x, 0)) * alpha))};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("alpha", alpha);
  }
  bool operator==(const Elu&) const = default;
};

/// torch.nn.functional.elu.
[[nodiscard]] inline Tensor elu(const Operand& x, double alpha = 1) {
  Elu op;
  op.alpha = alpha;
  return apply(op, x);
}

}  // namespace troupe
