#include "sample_order.hpp"

#include "philox.hpp"

#include <numeric>
#include <utility>

namespace troupe::data {

void shuffle_samples(
    std::uint64_t seed, std::int64_t epoch, std::span<std::uint32_t> order) noexcept {
  std::iota(order.begin(), order.end(), 0u);
  // Fisher and Yates, from the end.
  PhiloxDraws numbers(seed, static_cast<std::uint64_t>(epoch));
  for (std::size_t left = order.size(); left > 1; --left)
    std::swap(order[left - 1], order[numbers.below(left)]);
}

}  // namespace troupe::data
