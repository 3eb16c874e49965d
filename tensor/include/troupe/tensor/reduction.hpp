#pragma once

#include <cstdint>

namespace troupe {

/// How a loss of each sample becomes one number.
enum class Reduction : std::uint8_t {
  none = 0,  ///< it does not: one loss for each sample
  mean = 1,
  sum = 2,
};

}  // namespace troupe
