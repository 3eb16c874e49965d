#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// Whether x is neither infinite nor NaN; always for integers.
///
/// Shape    y as x.
/// Dtype    all that compute; y bool.
struct Isfinite : ElementwisePredicate<Isfinite, 1> {
  static constexpr OpId id{52};
  static constexpr std::string_view name = "isfinite";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P x) {
    return !(is_infinite(x) | is_nan(x));
  }
  static double reference(double x) { return std::isfinite(x) ? 1 : 0; }
};

/// torch.isfinite.
[[nodiscard]] inline Tensor isfinite(const Operand& x) { return apply(Isfinite{}, x); }

}  // namespace troupe
