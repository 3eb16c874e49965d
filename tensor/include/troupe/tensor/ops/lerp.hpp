#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// y = start + weight · (end − start).
///
/// Shape    inputs broadcast; y as they do together.
/// Dtype    the inputs' common dtype, float32 for integers.
/// Saves    all three.
/// Source   torch.lerp.
struct Lerp : ElementwiseFloating<Lerp, 3> {
  static constexpr OpId id{62};
  static constexpr std::string_view name = "lerp";
  static constexpr Samples samples{.ulp_max = 2, .scale = 10};
  static constexpr std::uint32_t saves_inputs = 0b111;

  template <class P>
  static auto kernel(P start, P end, P weight) {
    return start + weight * (end - start);
  }
  static double reference(double start, double end, double weight) {
    return start + weight * (end - start);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const auto& weight = v.input(2);
    Gradients gradients(3);
    if (v.needs(0)) gradients[0] = v.grad() * (1 - weight);
    if (v.needs(1)) gradients[1] = v.grad() * weight;
    if (v.needs(2)) gradients[2] = v.grad() * (v.input(1) - v.input(0));
    return gradients;
  }
};

/// torch.lerp.
[[nodiscard]] inline Tensor lerp(const Operand& start, const Operand& end, const Operand& weight) {
  return apply(Lerp{}, start, end, weight);
}

}  // namespace troupe
