#pragma once

#include <troupe/tensor/op.hpp>

#include <optional>

namespace troupe {

/// The same elements, in row-major order, under another shape. A view where the input's strides
/// allow one; the engine copies where they do not.
///
/// Shape    as given; as many elements as x.
/// Dtype    any; y as x.
/// Saves    nothing.
/// Errors   `shape_mismatch` for another number of elements.
struct Reshape : OpDefaults {
  static constexpr OpId id{300};
  static constexpr std::string_view name = "reshape";
  static constexpr OpFamily family = OpFamily::view;

  Shape shape;

  void infer(std::span<const Meta> in, Metas& out) const;
  /// Null when the new dimensions would need more than one stride each.
  [[nodiscard]] std::optional<ViewOf> view(const ValueBody& input, const Meta& output) const;
  template <class V>
  Gradients vjp(const V& v) const {
    return {reshape(v.grad(), v.input_meta().shape)};
  }
  template <class V>
  void fields(V& visit) {
    visit.field("shape", shape);
  }
  bool operator==(const Reshape&) const = default;
};

/// torch.reshape; one size may be −1: what is left.
[[nodiscard]] Tensor reshape(const Operand& x, const Shape& shape);
/// torch.flatten: the dimensions from `start` to `end` become one.
[[nodiscard]] Tensor flatten(const Operand& x, std::int64_t start = 0, std::int64_t end = -1);
/// torch.squeeze: without the dimensions of size 1; with an axis, without that one if its size
/// is 1.
[[nodiscard]] Tensor squeeze(const Operand& x);
[[nodiscard]] Tensor squeeze(const Operand& x, std::int64_t axis);
/// torch.unsqueeze: a dimension of size 1 more, at `axis` of the result.
[[nodiscard]] Tensor unsqueeze(const Operand& x, std::int64_t axis);

}  // namespace troupe
