#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace troupe::testing {

/// How much of a promised count a run does: a tenth, or as many percent as TROUPE_PROOF says.
inline std::uint64_t share(std::uint64_t promised) {
  const char* const percent = std::getenv("TROUPE_PROOF");
  const std::uint64_t wanted = percent ? std::strtoull(percent, nullptr, 10) : 10;
  return std::max<std::uint64_t>(1, promised * wanted / 100);
}

}  // namespace troupe::testing
