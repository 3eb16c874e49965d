#pragma once

#include <cstdint>

namespace troupe {

/// A line of the caller's source, for errors and traces.
struct Where {
  const char* file = "";
  std::uint32_t line = 0;

  [[nodiscard]] static constexpr Where here(
      const char* file = __builtin_FILE(), std::uint32_t line = __builtin_LINE()) noexcept {
    return {file, line};
  }
};

}  // namespace troupe
