#pragma once

#include "expressions.hpp"
#include "segment.hpp"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::vulkan {

class VulkanDevice;

/// A segment's steps as GLSL, for whatever shader runs them: on elements of tensors, or on sums
/// before they are stored.
class SegmentSteps {
 public:
  /// Throws as `encode_segment` does.
  SegmentSteps(const VulkanDevice& device, const Segment& segment, std::vector<DType> inputs);
  SegmentSteps(const Encoder& encoder, const Segment& segment, std::span<const Value> inputs);

  [[nodiscard]] DType input(std::size_t k) const noexcept { return dtypes_[k]; }
  /// The dtype of output k.
  [[nodiscard]] DType result(std::size_t k) const noexcept { return dtypes_[results_[k]]; }
  /// `segment(r0, r1, …, out y0, out y1, …)` with what it calls; behind troupe.glsl and math.glsl.
  /// Leaves the macros T and DTYPE_… of those dtypes undefined that it computes in.
  [[nodiscard]] std::string functions() &&;

 private:
  void add(const VulkanDevice& device, const Segment::Step& step);
  void write_steps(DType dtype);
  void write_segment();

  const Segment& segment_;
  std::vector<std::size_t> results_;  // the outputs' numbers
  std::vector<DType> dtypes_;         // of all numbers
  std::vector<DType> computed_in_;    // of the steps
  std::vector<GlslExpression> expressions_;
  std::string text_;
};

/// What GLSL calls an element in a register.
[[nodiscard]] std::string_view glsl_type(DType dtype) noexcept;

/// Throws `internal`: whoever built the segment made a mistake.
[[noreturn]] void misfit(const std::string& what);

}  // namespace troupe::vulkan
