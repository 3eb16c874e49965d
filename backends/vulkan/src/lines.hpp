#pragma once

#include "axis.hpp"
#include "encoder.hpp"

#include <cstdint>

namespace troupe::vulkan {

/// The parameters that begin those of each kernel on lines (shaders/lines.glsl).
struct LineParams {
  std::uint32_t lines;
  std::uint32_t extent;
  std::uint32_t inner;
};

/// How a kernel on lines is launched: a workgroup for each line, or an invocation.
struct Lines {
  LineParams params;
  std::uint32_t alone;  ///< whether each invocation has a line by itself
  std::uint32_t group;
  Grid grid;

  static Lines of(const Encoder& encoder, const Axis& axis) {
    const std::uint32_t lines = axis.lines();
    // Neighbours that lie side by side read side by side, if only there are enough of them; and a
    // short line would leave most of a workgroup idle.
    const bool alone = axis.inner > 1
                           ? axis.length <= 64 || lines >= (encoder.software() ? 8 : 2048)
                           : axis.length <= 32;
    Lines result{{lines, axis.length, axis.inner}, alone, 0, {}};
    result.group = alone ? encoder.plain_group() : encoder.fold_group(axis.length);
    result.grid = alone ? grid_for(lines, result.group) : grid_of(lines);
    return result;
  }
};

}  // namespace troupe::vulkan
