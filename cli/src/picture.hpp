#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace troupe::cli {

/// One image as text for a terminal, two rows of pixels in each line: half blocks in 24-bit colour,
/// or letters from dark to light. Each line ends with "\n".
///
/// @param pixels  uint8 [channels, height, width]; one channel is grey, three are red, green, blue
[[nodiscard]] std::string picture(
    std::span<const std::byte> pixels,
    std::int64_t channels,
    std::int64_t height,
    std::int64_t width,
    bool colour);

}  // namespace troupe::cli
