#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace troupe::io {

/// The place of the first byte that is neither 0 nor 1: read as a bool it would be undefined
/// behaviour, so no reader lets one in.
[[nodiscard]] inline std::optional<std::size_t> find_no_bool(std::span<const std::byte> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] > std::byte{1}) return i;
  }
  return std::nullopt;
}

}  // namespace troupe::io
