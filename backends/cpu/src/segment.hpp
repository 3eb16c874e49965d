#pragma once

#include "elementwise.hpp"
#include "kernel.hpp"

#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/meta.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace troupe::cpu {

/// Inputs and outputs of a fused op, together.
inline constexpr std::size_t segment_operands_max = 32;

/// Where a segment's elements are in one launch. Lives, unmoved, until its last chunk has run.
struct SegmentCall {
  enum class Place : std::uint8_t {
    plain,     ///< as the outputs' elements lie
    repeated,  ///< one element for all
    gathered,  ///< with strides
    handed,    ///< an output that goes where each call of `make` says
  };
  struct Operand {
    std::byte* data = nullptr;
    std::size_t bytes = 0;  ///< of an element
    Place place = Place::plain;
    std::uint16_t slot = 0;          ///< where what does not lie plain is put, tile by tile
    std::int64_t strides[rank_max];  ///< in elements, outermost first; of gathered ones
  };

  const class SegmentKernel* kernel = nullptr;
  Shape shape;            ///< of the outputs
  std::int64_t tile = 0;  ///< elements that all steps are done for at a time
  std::size_t slot_bytes = 0;
  Operand operands[segment_operands_max];  ///< inputs, then outputs, then what is handed on
};

/// A segment as calls of the elementwise ops' expressions, one after another over tiles that stay
/// in the first-level cache. Kept with the fused op.
///
/// Bits  those of the ops launched one by one, for the expressions are the same.
class SegmentKernel final : public Executable {
 public:
  using ExpressionOf = std::function<Expression(const OpInstance& op, DType dtype)>;

  /// @param inputs  of the segment, the head's result included
  /// @param shape   of the segment's results
  ///
  /// Throws `internal` where more values are alive at once than `values_max` of so many elements.
  SegmentKernel(
      const Fused& fused,
      std::span<const DType> inputs,
      const Shape& shape,
      const ExpressionOf& expression_of);

  /// Results that may be alive at once in a segment over so many elements.
  [[nodiscard]] static std::size_t values_max(std::int64_t elements) noexcept;

  /// Elements in a chunk: by the number of steps, so by the segment alone.
  [[nodiscard]] std::int64_t chunk_elements() const noexcept;
  /// A rough estimate of one thread's time.
  [[nodiscard]] double cost_ns(std::int64_t elements) const noexcept;

  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }
  /// The dtype of what the fold reads, if there is one.
  [[nodiscard]] DType folded() const noexcept { return folded_; }

  /// Looks at where the operands lie.
  void prepare(SegmentCall& call, std::span<const View> inputs, std::span<const View> outputs)
      const noexcept;
  /// Computes the outputs' elements from `begin` to before `end`, in row-major order.
  static void run(const SegmentCall& call, std::int64_t begin, std::int64_t end) noexcept {
    make(call, begin, 1, 0, end - begin, nullptr);
  }
  static void run_rows(
      const SegmentCall& call,
      std::int64_t begin,
      std::int64_t rows,
      std::int64_t row_step,
      std::int64_t width) noexcept {
    if (width == row_step) return run(call, begin, begin + rows * width);
    make(call, begin, rows, row_step, width, nullptr);
  }
  /// The same for `rows` times `width` elements, `row_step` apart. What is folded, but not stored,
  /// comes to lie side by side at `to`.
  static void make(
      const SegmentCall& call,
      std::int64_t begin,
      std::int64_t rows,
      std::int64_t row_step,
      std::int64_t width,
      void* to) noexcept;

 private:
  /// Places are numbered: inputs, outputs, what is handed on, slots.
  struct Step {
    Expression expression;
    const void* attributes;
    std::uint16_t from[3];
    std::uint16_t to;
    std::uint16_t arity;
  };

  std::vector<Step> steps_;
  std::size_t inputs_;
  std::size_t outputs_;
  bool hands_on_ = false;  // its fold's input, which is no output
  Shape shape_;
  DType folded_ = DType::float32;
  std::size_t slots_ = 0;
  std::size_t bytes_ = 0;  // of a step's operands, for one element: what leaves the first cache
  std::size_t slot_bytes_ = 1;  // of the widest element in a slot
};

}  // namespace troupe::cpu
