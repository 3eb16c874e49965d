#pragma once

#include <troupe/tensor/device.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace troupe::cpu {

/// What is done in a second: on one thread, and on all of the system's together.
struct Rate {
  double one_thread = 0;
  double all_threads = 0;
};

/// How fast a place in the memory hierarchy is.
struct MemoryLimit {
  std::string_view place;   ///< "L2", "L3" or "RAM"
  std::uint64_t bytes = 0;  ///< that it holds: of one cache; 0 for "RAM"
  unsigned sharing = 1;     ///< threads that have one such cache in common
  Rate read;                ///< bytes; reading alone
  Rate triad;               ///< bytes of a = b + s·c: two read for one written
};

/// What this machine can do at best, as its kernels' instruction set reaches it.
struct Limits {
  unsigned threads = 0;             ///< that "all" were
  Rate float32;                     ///< operations of multiply-adds, two each
  std::optional<Rate> bfloat16;     ///< the same of bfloat16 products; none where the set has none
  std::vector<MemoryLimit> memory;  ///< from the nearest place outwards; the last is RAM

  /// Of the nearest place that holds so many bytes: the faster of `read` and `triad`, on all
  /// threads.
  [[nodiscard]] double bytes_per_second(double bytes) const noexcept;
};

/// Measures a CPU device's limits, on the caller's thread and on the system's workers; what else
/// the machine does meanwhile takes away from them. Caches that the processor tells nothing of are
/// left out. Throws `device_mismatch` for a device that is no CPU; `invalid_argument` unless
/// `seconds` is above 0 and finite; `inside_actor` in an actor's turn.
///
/// @param seconds  about how long it may take: each figure is the best of some runs
[[nodiscard]] Limits measure_limits(Device& device, double seconds = 5);

}  // namespace troupe::cpu
