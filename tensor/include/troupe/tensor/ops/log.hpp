#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = ln x; NaN below 0.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
struct Log : ElementwiseFloating<Log, 1> {
  static constexpr OpId id{9};
  static constexpr std::string_view name = "log";
  static constexpr Samples samples{.low = 0.05, .high = 6, .ulp_max = 2};
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static auto kernel(P x) {
    return log(x);
  }
  static double reference(double x) { return std::log(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() / v.input()};
  }
};

/// torch.log.
[[nodiscard]] inline Tensor log(const Operand& x) { return apply(Log{}, x); }

}  // namespace troupe
