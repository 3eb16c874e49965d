#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// y = erf x = 2/√π · ∫₀ˣ e^(−t²) dt.
///
/// Shape    y as x.
/// Dtype    floating point, integers become float32 first; y as x.
/// Saves    x.
/// Source   DLMF §7.2; derivative 2/√π · e^(−x²).
struct Erf : ElementwiseFloating<Erf, 1> {
  static constexpr OpId id{26};
  static constexpr std::string_view name = "erf";
  static constexpr Samples samples{.low = -3, .high = 3, .ulp_max = 3};
  static constexpr std::uint32_t saves_inputs = 1;

  template <class P>
  static auto kernel(P x) {
    return erf(x);
  }
  static double reference(double x) { return std::erf(x); }
  template <class V>
  Gradients vjp(const V& v) const {
    return {v.grad() * (exp(-square(v.input())) * 1.1283791670955126)};
  }
};

/// torch.erf.
[[nodiscard]] inline Tensor erf(const Operand& x) { return apply(Erf{}, x); }

}  // namespace troupe
