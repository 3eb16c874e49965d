#pragma once

#include "encoder.hpp"

#include <troupe/tensor/reduction.hpp>

namespace troupe::vulkan {

/// What the losses of all samples come to. The last two are null where the other is meant.
struct LossTotal {
  Reduction reduction;
  const Value& losses;    ///< one for each sample, contiguous
  const Value& loss;      ///< where the sum or mean goes; left alone for `none`
  Value weights{};        ///< of each sample; their sum is the mean's divisor
  Value divisor{};        ///< where that goes
  Value given_divisor{};  ///< the divisor itself

  /// Encodes it; also for no samples, whose sum is 0.
  void encode(Encoder& encoder) const;
};

}  // namespace troupe::vulkan
