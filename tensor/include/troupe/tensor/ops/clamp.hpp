#pragma once

#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/maximum.hpp>
#include <troupe/tensor/ops/minimum.hpp>

#include <algorithm>
#include <limits>
#include <optional>

namespace troupe {

/// y = x, but not below `min` and not above `max`, which wins where they cross; NaN stays.
///
/// Shape    y as x.
/// Dtype    all that compute; y as x. Bounds beyond an integer type's range are its ends.
/// Saves    x.
/// Source   torch.clamp: the gradient passes where min ≤ x ≤ max.
struct Clamp : Elementwise<Clamp, 1> {
  static constexpr OpId id{61};
  static constexpr std::string_view name = "clamp";
  static constexpr Samples samples{.ulp_max = 0, .gap = 0.05, .kink = 1, .linear = true};
  static constexpr std::uint32_t saves_inputs = 1;

  double min = -std::numeric_limits<double>::infinity();
  double max = std::numeric_limits<double>::infinity();

  template <class P>
  auto kernel(P x) const {
    return clamped(x, P::from(min), P::from(max));
  }
  [[nodiscard]] double reference(double x) const {
    const double raised = x < min ? min : x;
    return raised > max ? max : raised;
  }
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
    const P raised = select(x < low, low, x);
    return select(raised > high, high, raised);
  }
};

/// torch.clamp; a bound left out bounds nothing. Integers become float32 beside a fraction.
[[nodiscard]] inline Tensor clamp(
    const Operand& x, std::optional<Number> min = {}, std::optional<Number> max = {}) {
  DType common = checked_tensor(x, Clamp::name).dtype();
  bool exact = true;
  for (const auto& bound : {min, max}) {
    if (!bound) continue;
    const Operand both[] = {x, Operand(*bound)};
    common = promote(common, result_type(both));
    exact = exact && Number(bound->to<double>()).to<std::int64_t>() == bound->to<std::int64_t>();
  }
  const Tensor wide = common == x.tensor().dtype() ? Tensor() : cast(x, common);
  const Operand from = wide ? Operand(wide, x.where()) : x;
  if (!exact && !is_floating(common)) {
    // The attributes are doubles, which do not hold every int64.
    const Tensor raised = min ? maximum(from, Operand(*min)) : from.tensor();
    return max ? minimum(Operand(raised, x.where()), Operand(*max)) : raised;
  }
  Clamp op;
  if (min) op.min = min->to<double>();
  if (max) op.max = max->to<double>();
  return apply(op, from);
}

}  // namespace troupe
