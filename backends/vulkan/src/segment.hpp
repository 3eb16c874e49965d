#pragma once

#include "dispatch.hpp"
#include "shader.hpp"

#include <troupe/tensor/fused.hpp>
#include <troupe/tensor/value.hpp>

#include <cstdint>
#include <shared_mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe::vulkan {

class Encoder;

/// Encodes a segment as one dispatch.
///
/// @param inputs   of shapes that broadcast to the outputs', with any strides
/// @param outputs  contiguous, all of one shape, of the dtypes that the steps give; inputs and
/// outputs
///                 together at most `bindings_max`
///
/// Throws `unsupported`, naming the op, where a step has no kernel in its dtype; `internal` for
/// numbers, dtypes or shapes that do not fit together.
void encode_segment(
    Encoder& encoder,
    const Segment& segment,
    std::span<const Value> inputs,
    std::span<const Value> outputs);

/// How a segment's invocations find their elements.
struct SegmentForm {
  std::uint32_t rank = 1;  ///< of the walk, where an input steps; else 1
  bool by_four = false;    ///< an invocation computes four neighbours
  bool in_pairs = false;   ///< which are loaded and stored as two words of 64 bits
  /// Bit k: of input k there is one element for all that an invocation computes, of which there are
  /// several or all: loaded by itself.
  std::uint32_t alone = 0;
  /// Bit k: the place in input k is made with strides; else it is the output's, or 0 if alone.
  std::uint32_t steps = 0;

  [[nodiscard]] std::uint64_t code() const noexcept {
    return std::uint64_t{rank} | (by_four ? 16u : 0u) | (in_pairs ? 32u : 0u) |
           std::uint64_t{alone} << 8 | std::uint64_t{steps} << 24;
  }
};

/// The shaders of segments that were written so far, by content, the inputs' dtypes, and the form:
/// `SegmentForm::code`, or what else a kernel tells its own apart by.
///
/// Threads   any.
class SegmentShaders {
 public:
  [[nodiscard]] const Shader* find(
      const Segment& segment, std::span<const Value> inputs, std::uint64_t form) const noexcept;
  void add(
      const Segment& segment,
      std::span<const Value> inputs,
      std::uint64_t form,
      const Shader& shader);

 private:
  struct Entry {
    Segment segment;
    DType dtypes[bindings_max] = {};
    std::uint64_t form = 0;
    const Shader* shader = nullptr;
  };

  mutable std::shared_mutex lock_;
  std::unordered_map<std::uint64_t, std::vector<Entry>> made_;
};

}  // namespace troupe::vulkan
