#pragma once

#include <troupe/tensor/op.hpp>

#include <cmath>

namespace troupe {

/// What dividing a by b toward 0 leaves, with a's sign; exact. For integers 0 where b is 0.
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype.
/// Saves    a, b.
struct Fmod : Elementwise<Fmod, 2> {
  static constexpr OpId id{35};
  static constexpr std::string_view name = "fmod";
  static constexpr Samples samples{.low = 0.6, .high = 3, .ulp_max = 0.5, .gap = 0.05};
  static constexpr std::uint32_t saves_inputs = 0b11;

  template <class P>
  static auto kernel(P a, P b) {
    return fmod(a, b);
  }
  static double reference(double a, double b) { return std::fmod(a, b); }
  template <class V>
  Gradients vjp(const V& v) const {
    Gradients gradients(2);
    if (v.needs(0)) gradients[0] = v.grad();
    if (v.needs(1)) gradients[1] = -v.grad() * trunc(v.input(0) / v.input(1));
    return gradients;
  }
};

/// torch.fmod.
[[nodiscard]] inline Tensor fmod(const Operand& a, const Operand& b) { return apply(Fmod{}, a, b); }

}  // namespace troupe
