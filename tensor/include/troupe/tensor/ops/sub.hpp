#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/mul.hpp>

namespace troupe {

/// y = a − b.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype.
struct Sub : Elementwise<Sub, 2> {
  static constexpr OpId id{2};
  static constexpr std::string_view name = "sub";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0.5, .linear = true};

  template <class P>
  static auto kernel(P a, P b) {
    return a - b;
  }
  static double reference(double a, double b) { return a - b; }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    if (v.needs(0)) gradients[0] = v.grad();
    if (v.needs(1)) gradients[1] = -v.grad();
    return gradients;
  }
};

/// torch.sub: a − alpha · b. Throws `dtype_mismatch` for a fraction as the alpha of integers.
[[nodiscard]] inline Tensor sub(const Operand& a, const Operand& b, Number alpha = 1) {
  return detail::apply_scaled(Sub{}, a, b, alpha);
}
[[nodiscard]] inline Tensor operator-(const Operand& a, const Operand& b) {
  return apply(Sub{}, a, b);
}

}  // namespace troupe
