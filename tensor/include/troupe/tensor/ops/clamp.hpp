#pragma once

#include <troupe/tensor/op.hpp>

#include <algorithm>
#include <limits>

namespace troupe {

/// y = x, but not below `min` and not above `max`; NaN stays.
///
/// Shape    y as x.
/// Dtype    all that compute; y as x. Bounds beyond an integer type's range are its ends.
/// Saves    x.
/// Source   torch.clamp: the gradient passes where min ≤ x ≤ max.
struct Clamp : Elementwise<Clamp, 1> {
  static constexpr OpId id{61};
  static constexpr std::string_view name = "clamp";
  static constexpr Samples samples{.ulp_max = 0, .gap = 0.05, .kink = 1};
  static constexpr std::uint32_t saves_inputs = 1;

  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();

  template <class P>
  auto kernel(P x) const {
    return clamped(x, P::from(min), P::from(max));
  }
  [[nodiscard]] double reference(double x) const { return x < min ? min : x > max ? max : x; }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& x = v.input();
    return {where(logical_and(x >= min, x <= max), v.grad(), 0)};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("min", min);
    visit.field("max", max);
  }
  bool operator==(const Clamp&) const = default;

 private:
  // Outside of kernel(), where the attributes' names hide the functions'.
  template <class P>
  static P clamped(P x, P low, P high) {
    return select(x < low, low, select(x > high, high, x));
  }
};

/// torch.clamp.
[[nodiscard]] inline Tensor clamp(
    const Operand& x, double min, double max = std::numeric_limits<double>::infinity()) {
  Clamp op;
  op.min = min;
  op.max = max;
  return apply(op, x);
}

}  // namespace troupe
