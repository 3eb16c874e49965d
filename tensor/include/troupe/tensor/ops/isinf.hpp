#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// Whether x is +∞ or −∞; never for integers.
///
/// Shape    y as x.
/// Dtype    all that compute; y bool.
struct Isinf : ElementwisePredicate<Isinf, 1> {
  static constexpr OpId id{51};
  static constexpr std::string_view name = "isinf";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 0};

  template <class P>
  static auto kernel(P x) {
    return is_infinite(x);
  }
  static double reference(double x) { return std::isinf(x) ? 1 : 0; }
};

/// torch.isinf.
[[nodiscard]] inline Tensor isinf(const Operand& x) { return apply(Isinf{}, x); }

}  // namespace troupe
