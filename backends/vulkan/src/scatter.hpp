#pragma once

#include "encoder.hpp"

#include <cstdint>

namespace troupe::vulkan {

/// Sums by destination: dx[o, d, :] = Σ dy[o, s, :] over the sources s that go to d, always in the
/// order of the sources. Sorts the sources by destination with counters of integers, whose values
/// no schedule can change; so it takes time for destinations plus sources, not for their product,
/// unless most sources go to one destination.
///
///     Scatter scatter(encoder, sources, destinations);
///     a dispatch that writes scatter.keys, ~0 for a source that goes nowhere, and adds 1 to
///     scatter.counts at each key
///     scatter.sum(dy, dx, outer, inner);
class Scatter {
 public:
  Scatter(Encoder& encoder, std::uint32_t sources, std::uint32_t destinations);
  /// float32 or float64.
  void sum(const Value& dy, const Value& dx, std::uint32_t outer, std::uint32_t inner);

  const Value keys;    ///< uint32 [sources]
  const Value counts;  ///< uint32 [destinations + 1], zeros; the last one is the sum's own

 private:
  Encoder& encoder_;
  std::uint32_t sources_;
  std::uint32_t destinations_;
};

}  // namespace troupe::vulkan
