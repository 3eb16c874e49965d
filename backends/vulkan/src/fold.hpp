#pragma once

#include "divisor.hpp"
#include "encoder.hpp"
#include "number.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace troupe::vulkan {

/// How a reduction sees its input: groups of adjacent dimensions that are folded alike.
///
///     [outer, first, middle, second, inner]
///
/// `first` and `second` are folded. An input with more groups is seen, and must be copied, with its
/// dimensions in another order: [outer, second].
struct FoldShape {
  std::uint32_t outer = 1, first = 1, middle = 1, second = 1, inner = 1;
  bool reordered = false;

  /// `axes`: those folded, none for all; negative ones count from the end.
  static FoldShape of(const Shape& shape, const Dims& axes);

  [[nodiscard]] std::uint32_t kept() const noexcept { return outer * middle * inner; }
  [[nodiscard]] std::uint32_t folded() const noexcept { return first * second; }
};

/// A reduction's input, in row-major order and if need be with its dimensions reordered.
class FoldInput {
 public:
  FoldInput(Encoder& encoder, const Value& x, const Dims& axes);
  /// The launch's input, or what a chain makes of it.
  FoldInput(Encoder& encoder, const Dims& axes);

  Value x;  ///< null: a chain makes the elements
  FoldShape shape;
  DType dtype;

 private:
  FoldInput(Value x, const FoldShape& shape, DType dtype) noexcept
      : x(std::move(x)), shape(shape), dtype(dtype) {}
};

/// Encodes a fold by a shader made with shaders/reduce.glsl: one dispatch, or, where there is not
/// enough else to share out, one that leaves parts and one that joins them.
class FoldEncoder {
 public:
  FoldEncoder(Encoder& encoder, const FoldShape& shape) noexcept
      : encoder_(encoder), shape_(shape) {}

  /// The number that sums are multiplied by (float32) or divided by (float64).
  FoldEncoder& factor(Number number) noexcept {
    factor_ = number;
    return *this;
  }
  /// For a shader that a chain makes the elements of.
  FoldEncoder& split(Divisor number) noexcept {
    split_ = number;
    return *this;
  }

  /// @param constants   for constant_id 4 and 5
  /// @param part_unit   bytes of an element of the shader's binding of parts
  /// @param part_units  elements there for each part
  /// @param bind        called with the operand for that binding, gives all of them in a row
  template <class Bind>
  void run(
      const Shader& shader,
      std::array<std::uint32_t, 2> constants,
      std::uint32_t part_unit,
      std::uint32_t part_units,
      const Bind& bind) {
    const Cut cut = this->cut();
    if (cut.segments == 1) {
      const auto operands = bind(encoder_.unused());
      dispatch(shader, constants, {cut, shape_.folded(), 1, false, false}, operands);
      return;
    }
    const Value parts = encoder_.scratch(
        DType::uint8,
        {static_cast<std::int64_t>(shape_.kept()) * cut.segments,
         static_cast<std::int64_t>(part_unit) * part_units});
    const auto to_parts = bind(write(parts, part_unit));
    dispatch(shader, constants, {cut, shape_.folded(), cut.segments, false, true}, to_parts);
    const Cut joined{true, 1, encoder_.fold_group(cut.segments)};
    const auto from_parts = bind(encoder_.unwritten(parts, part_unit));
    dispatch(shader, constants, {joined, cut.segments, 1, true, false}, from_parts);
  }

 private:
  struct Cut {
    bool together;  ///< a workgroup on each group of elements
    std::uint32_t segments;
    std::uint32_t group;
  };
  struct Pass {
    Cut cut;
    std::uint32_t folded;
    std::uint32_t segments;
    bool from_parts;
    bool to_parts;
  };
  [[nodiscard]] Cut cut() const;
  void dispatch(
      const Shader& shader,
      std::array<std::uint32_t, 2> constants,
      const Pass& pass,
      std::span<const Operand> operands);

  Encoder& encoder_;
  FoldShape shape_;
  Number factor_;
  Divisor split_;
};

}  // namespace troupe::vulkan
