#pragma once

#include <troupe/tensor/op.hpp>

namespace troupe {

/// x repeated along dimensions of size 1 and new leading ones, without a copy: strides of 0.
///
/// Shape    as given; x broadcasts to it.
/// Dtype    any; y as x.
/// Saves    nothing.
/// Errors   `shape_mismatch` where x does not broadcast to the shape.
struct Expand : OpDefaults {
  static constexpr OpId id{302};
  static constexpr std::string_view name = "expand";
  static constexpr OpFamily family = OpFamily::view;

  Shape shape;

  void infer(std::span<const Meta> in, Metas& out) const;
  [[nodiscard]] ViewOf view(const ValueBody& input, const Meta& output) const;
  template <class V>
  Gradients vjp(const V& v) const {
    return {reduce_to(v.grad(), v.input_meta())};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("shape", shape);
  }
  bool operator==(const Expand&) const = default;
};

/// Tensor.expand; a size of −1 stays as it is.
[[nodiscard]] Tensor expand(const Operand& x, const Shape& shape);
/// torch.broadcast_to.
[[nodiscard]] inline Tensor broadcast_to(const Operand& x, const Shape& shape) {
  return expand(x, shape);
}

}  // namespace troupe
