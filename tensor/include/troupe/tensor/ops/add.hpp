#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/mul.hpp>

namespace troupe {

/// y = a + b; "or" on bool.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype.
struct Add : Elementwise<Add, 2> {
  static constexpr OpId id{1};
  static constexpr std::string_view name = "add";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0.5, .linear = true};

  template <class P>
  static auto kernel(P a, P b) {
    return a + b;
  }
  static double reference(double a, double b) { return a + b; }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad(), v.grad()};
  }
};

/// torch.add: a + alpha · b. Throws `dtype_mismatch` for a fraction as the alpha of integers.
[[nodiscard]] inline Tensor add(const Operand& a, const Operand& b, Number alpha = 1) {
  return detail::apply_scaled(Add{}, a, b, alpha);
}
[[nodiscard]] inline Tensor operator+(const Operand& a, const Operand& b) {
  return apply(Add{}, a, b);
}

}  // namespace troupe
