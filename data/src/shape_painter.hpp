#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace troupe::data {

inline constexpr std::int64_t shape_side = 32;  ///< pixels
inline constexpr std::size_t shape_image_bytes = 3 * shape_side * shape_side;
inline constexpr std::string_view shape_names[] = {
    "disc", "ring", "square", "frame", "triangle", "cross", "star", "half-disc", "bar", "crescent"};

/// Paints image `index` of the stream of images that `seed` names, uint8 [3, 32, 32], and returns
/// its label.
[[nodiscard]] std::uint8_t paint_shape(
    std::uint64_t seed, std::uint64_t index, std::span<std::byte, shape_image_bytes> pixels);

}  // namespace troupe::data
