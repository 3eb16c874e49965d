#pragma once

#include "encoder.hpp"
#include "segment.hpp"

#include <cstdint>

namespace troupe::vulkan {

/// What becomes of each element of a product, its bias added, before it is stored: a segment of
/// which input 0 is that element.
struct Epilogue {
  Segment segment;
  /// The segment's input 1, where it has two: of the product's shape, of one element, or, of a
  /// matrix product, one element for each index of the last axis. There is no room for more among
  /// the parameters that every device takes.
  Value other;

  /// Where an element's `other` lies.
  enum class Place : std::uint32_t { none, alike, last, one };
};

/// A product's shader as it ends with an epilogue; without one, itself.
class EpilogueShader {
 public:
  /// @param product  where the elements go
  ///
  /// Throws `unsupported` and `internal` as `encode_segment` does: a segment has one output, of the
  /// product's dtype.
  EpilogueShader(
      Encoder& encoder, const Shader& shader, const Epilogue* epilogue, const Value& product);

  [[nodiscard]] const Shader& shader() const noexcept { return *shader_; }
  /// Those of the shader, and what the epilogue reads.
  [[nodiscard]] OperandList with(std::initializer_list<Operand> operands) const noexcept;

 private:
  const Shader* shader_;
  Value other_;
};

}  // namespace troupe::vulkan
