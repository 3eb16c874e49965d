#pragma once

#include "encoder.hpp"

#include <cstdint>

namespace troupe::vulkan {

/// Windows of average pooling, as average_windows.glsl reads them: of a fixed size, or `adaptive`
/// ones, which share a plane out and heed nothing but sizes.
struct AverageWindows {
  bool adaptive = false;
  std::uint32_t kernel[2] = {1, 1}, stride[2] = {1, 1};
  std::int32_t padding[2] = {};
  std::uint32_t divisor = 0;  ///< 0: what a window counts
  std::uint32_t count_include_pad = 0;

  void encode_forward(Encoder& encoder) const;
  void encode_backward(Encoder& encoder) const;
};

}  // namespace troupe::vulkan
