#include "draws.hpp"

#include <cmath>
#include <iterator>
#include <numbers>

namespace troupe::nn {

std::uint32_t Draws::next() noexcept {
  if (used_ == std::size(block_.words)) {
    block_ = philox<Draws>(seed_, call_, counter_++);
    used_ = 0;
  }
  return block_.words[used_++];
}

double Draws::uniform() noexcept { return next() * 0x1p-32; }

double Draws::normal() noexcept {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  // 1 − u lies in (0, 1]: the logarithm is finite.
  const double radius = std::sqrt(-2 * std::log(1 - uniform()));
  const double angle = 2 * std::numbers::pi * uniform();
  spare_ = radius * std::sin(angle);
  has_spare_ = true;
  return radius * std::cos(angle);
}

}  // namespace troupe::nn
