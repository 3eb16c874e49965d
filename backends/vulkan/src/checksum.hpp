#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::vulkan {

/// FNV-1a: tells a cached file that is whole from one that is not.
[[nodiscard]] inline std::uint64_t checksum_of(
    std::span<const std::byte> bytes, std::uint64_t seed = 0xcbf29ce484222325) noexcept {
  std::uint64_t sum = seed;
  for (const std::byte b : bytes) sum = (sum ^ static_cast<std::uint64_t>(b)) * 0x100000001b3;
  return sum;
}

}  // namespace troupe::vulkan
