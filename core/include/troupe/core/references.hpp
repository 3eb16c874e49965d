#pragma once

#include <troupe/core/atomics.hpp>

#include <atomic>
#include <cstdint>

namespace troupe {

/// The count of an actor's addresses, and the rule by which the last of them ends it.
///
/// The last reference is never simply dropped. Who finds the actor idle takes its turn from it and
/// looks at the count once more: only inside a turn can it be certain that the actor is not just
/// giving out an address of itself. Otherwise the reference travels through the mailbox, behind
/// what was sent before it, and is given back in the actor's own turn.
///
/// Threads   add() for who holds one already; drop() by any; arrive() in the actor's turn.
template <class Atomics>
class BasicReferences {
 public:
  enum class Dropped {
    given_back,  ///< others hold addresses
    busy,        ///< still held: to be sent to the actor, which somebody runs or will run
    taken,       ///< still held, and the actor's turn with it: to be sent, and the actor scheduled
    last,        ///< still held, and the turn with it: nobody can reach the actor, so it ends
  };
  enum class Arrived {
    given_back,  ///< others hold addresses
    too_early,   ///< the last, with messages that were sent before: to be sent once more
    last,        ///< given back: nobody can reach the actor any more
  };

  void add() noexcept { count_.fetch_add(1, std::memory_order_relaxed); }

  template <class Mailbox>
  [[nodiscard]] Dropped drop(Mailbox& mailbox) noexcept {
    std::uint32_t count = count_.load(std::memory_order_acquire);
    while (count != 1) {
      if (count_.compare_exchange_weak(
              count, count - 1, std::memory_order_acq_rel, std::memory_order_acquire))
        return Dropped::given_back;
    }
    if (!mailbox.try_claim()) return Dropped::busy;
    // A turn may have ended since the count was read, in which the actor gave out addresses; and
    // who got one may have sent something and dropped it again.
    return only_one() && !mailbox.has_messages() ? Dropped::last : Dropped::taken;
  }

  template <class Mailbox>
  [[nodiscard]] Arrived arrive(Mailbox& mailbox) noexcept {
    // First the count: what others sent before they dropped their addresses is seen afterwards.
    if (count_.fetch_sub(1, std::memory_order_acq_rel) != 1) return Arrived::given_back;
    if (!mailbox.has_messages()) return Arrived::last;
    count_.store(1, std::memory_order_relaxed);
    return Arrived::too_early;
  }

  /// Whether the one who asks holds the only one. Certain inside a turn.
  [[nodiscard]] bool only_one() const noexcept {
    return count_.load(std::memory_order_acquire) == 1;
  }

  /// For an actor that ends: addresses of it made and dropped meanwhile must not end it again.
  void begin_end() noexcept { count_.store(ending, std::memory_order_relaxed); }
  /// Gives back what holds an ending actor, but for one reference if others hold addresses by now.
  /// @returns true when there is none, so that the cell may go.
  [[nodiscard]] bool finish_end() noexcept {
    return count_.fetch_sub(ending - 1, std::memory_order_acq_rel) == ending;
  }

 private:
  static constexpr std::uint32_t ending = 1u << 30;

  typename Atomics::template Atomic<std::uint32_t> count_{1};
};

using References = BasicReferences<StandardAtomics>;

}  // namespace troupe
