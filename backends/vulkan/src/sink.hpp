#pragma once

#include "dispatch.hpp"

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/value.hpp>

#include <cstdint>

namespace troupe::vulkan {

/// Where a random op gets its numbers from.
struct RandomSource {
  std::uint64_t seed = 0;
  std::uint64_t call = 0;
  /// Set in a recording: four words, the seed and the call from which `call` counts, which each
  /// replay brings along.
  Value state;
};

/// What becomes of the work that an encoder makes: the queue does it, a recording keeps it.
class Sink {
 public:
  /// Each returns the count of the queue by which it is done; in a recording, one that is past.
  virtual std::uint64_t send(const Dispatch& dispatch) = 0;
  virtual std::uint64_t send(Transfer transfer) = 0;
  /// For tensors that the work reads and writes.
  [[nodiscard]] virtual Memory& memory() noexcept = 0;
  [[nodiscard]] virtual RandomSource random(const Launch& launch) const noexcept = 0;

 protected:
  ~Sink() = default;
};

}  // namespace troupe::vulkan
