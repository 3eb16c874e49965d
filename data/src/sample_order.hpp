#pragma once

#include <cstdint>
#include <span>

namespace troupe::data {

/// Fills `order` with 0 … n−1 as an epoch visits them: shuffled by (seed, epoch) and nothing else.
void shuffle_samples(
    std::uint64_t seed, std::int64_t epoch, std::span<std::uint32_t> order) noexcept;

}  // namespace troupe::data
