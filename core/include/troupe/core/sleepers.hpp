#pragma once

#include <troupe/core/atomics.hpp>

#include <cstdint>

namespace troupe {

/// How many threads have announced that they will sleep: what keeps a wake-up from being lost.
///
/// A thread that wants to sleep announces itself and *then* looks once more for something to do.
/// One that makes something ready does so and *then* asks whether anybody sleeps. One of the two
/// comes first in the order of the counter's changes, and the other sees what was done before it;
/// for that, asking is a change too: it adds nothing. A plain load could be answered before the
/// thing made ready is seen by others, and both would miss each other.
///
/// Who asks at the end of each turn must not pay for that: the counter's cache line would travel
/// with every turn. A turn ends with an exchange on the mailbox anyway, so there `any_after_rmw`
/// sets a fence, free on x86, against the fence of the one who announces.
template <class Atomics>
class BasicSleepers {
 public:
  void announce() noexcept {
    count_.fetch_add(1, std::memory_order_seq_cst);
    Atomics::fence_after_rmw();
  }
  void withdraw() noexcept { count_.fetch_sub(1, std::memory_order_seq_cst); }
  [[nodiscard]] bool any() noexcept { return count_.fetch_add(0, std::memory_order_seq_cst) != 0; }
  /// The same for one who has done a read-modify-write operation, on anything, since it made
  /// something ready.
  [[nodiscard]] bool any_after_rmw() const noexcept {
    Atomics::fence_after_rmw();
    return count_.load(std::memory_order_relaxed) != 0;
  }
  /// Perhaps; for those to whom missing one does no harm.
  [[nodiscard]] bool maybe() const noexcept { return count_.load(std::memory_order_relaxed) != 0; }

 private:
  typename Atomics::template Atomic<std::uint32_t> count_{0};
};

using Sleepers = BasicSleepers<StandardAtomics>;

}  // namespace troupe
