#include "hazards.hpp"

namespace troupe::vulkan {

bool Hazards::conflict(std::span<const Bound> ranges) const noexcept {
  for (const Bound& mine : ranges)
    for (const Bound& other : ranges_)
      if (overlap(mine, other)) return true;
  return false;
}

void Hazards::add(std::span<const Bound> ranges) {
  ranges_.insert(ranges_.end(), ranges.begin(), ranges.end());
}

}  // namespace troupe::vulkan
