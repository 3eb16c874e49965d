#pragma once

#include "axis.hpp"
#include "encoder.hpp"

#include <algorithm>
#include <cstdint>
#include <initializer_list>

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
  std::uint32_t way;  ///< LINES of the shader
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

  /// As `of`, for a kernel that has a way to hold its lines in registers, on a GPU, where all of
  /// `values` are in whole fours of float32. What goes over memory again waits for it again, and
  /// for more barriers.
  static Lines held(
      const Encoder& encoder, const Axis& axis, std::initializer_list<const Value*> values) {
    constexpr std::uint32_t fours_max = 8;  // that an invocation surely has registers for
    Lines result = of(encoder, axis);
    bool holds = !encoder.software() && result.way == 0 && axis.inner == 1 && axis.length % 4 == 0;
    for (const Value* value : values)
      holds = holds && (*value)->dtype() == DType::float32 && (*value)->offset() % 4 == 0;
    const std::uint32_t fours = axis.length / 4;
    const std::uint32_t subgroup = encoder.fold_group(1);
    std::uint32_t group = subgroup;
    while (ceil_div(fours, group) > fours_max) group *= 2;
    if (!holds ||
        group > std::min(subgroup * subgroups_max, encoder.workgroup_limits().invocations))
      return result;
    result.group = group;
    result.way = 1 + static_cast<std::uint32_t>(ceil_div(fours, group));
    return result;
  }
  /// A value's second operand, in fours if the lines are held.
  [[nodiscard]] Operand read(const Value& value) const {
    return way > 1 ? vulkan::read(value, 16) : vulkan::read(value);
  }
  [[nodiscard]] Operand write(const Value& value) const {
    return way > 1 ? vulkan::write(value, 16) : vulkan::write(value);
  }
};

}  // namespace troupe::vulkan
