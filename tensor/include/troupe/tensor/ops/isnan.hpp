#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// Whether x is NaN; never for integers.
///
/// Shape    y as x.
/// Dtype    all that compute; y bool.
struct Isnan : ElementwisePredicate<Isnan, 1> {
  static constexpr OpId id{50};
  static constexpr std::string_view name = "isnan";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P x) {
    return is_nan(x);
  }
  static double reference(double x) { return std::isnan(x) ? 1 : 0; }
};

/// torch.isnan.
[[nodiscard]] inline Tensor isnan(const Operand& x) { return apply(Isnan{}, x); }

}  // namespace troupe
