#pragma once

#include "encoder.hpp"

namespace troupe::vulkan {

/// An index tensor as the words that index.glsl reads.
[[nodiscard]] inline Operand read_index(const Value& index) { return read(index, 4); }
/// Words of one index: constant_id 1 of the shaders that read index tensors.
[[nodiscard]] inline std::uint32_t index_words(const Value& index) noexcept {
  return static_cast<std::uint32_t>(size_of(index->dtype()) / 4);
}

}  // namespace troupe::vulkan
