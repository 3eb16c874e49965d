#pragma once

#include <bit>
#include <cstdint>

namespace troupe::vulkan {

/// A number that shaders divide by, with what makes that cheap: see divide.glsl. From 1 to 2³¹.
struct Divisor {
  std::uint32_t number = 1;
  std::uint32_t multiplier = 1;
  std::uint32_t shift = 0;

  static constexpr Divisor of(std::uint32_t number) noexcept {
    if (number == 0) number = 1;  // of a tensor without elements, which nobody launches
    const auto shift = static_cast<std::uint32_t>(std::bit_width(number - 1));
    const std::uint64_t power = std::uint64_t{1} << shift;
    return {number, static_cast<std::uint32_t>(((power - number) << 32) / number + 1), shift};
  }
};

}  // namespace troupe::vulkan
