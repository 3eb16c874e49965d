#pragma once

#include <cstdint>
#include <memory>

namespace troupe {

/// Gives 64-bit numbers to seed generators with. One of the six interfaces between Troupe and the
/// outside world; what a model draws comes from counters and a seed, never from here.
///
/// Threads   any.
class Random {
 public:
  virtual ~Random() = default;
  [[nodiscard]] virtual std::uint64_t next() = 0;
};

/// The operating system's entropy.
std::unique_ptr<Random> make_real_random();

/// The same sequence for the same seed.
std::unique_ptr<Random> make_seeded_random(std::uint64_t seed);

}  // namespace troupe
