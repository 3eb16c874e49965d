#pragma once

#include "parker.hpp"
#include "pool.hpp"
#include "run_queue.hpp"

#include <troupe/core/actor_cell.hpp>

#include <atomic>
#include <cstdint>

namespace troupe {

class Poller;
class Scheduler;
struct TraceRing;

/// A place from which a thread runs actors and chunks; see `Scheduler`.
///
/// Threads   the thread that sits on it, but for what is atomic and the queue's front.
struct alignas(64) Seat {
  Seat(Scheduler& its_scheduler, Pool& pool, std::uint32_t its_number)
      : scheduler(its_scheduler), cache(pool), number(its_number) {}

  Scheduler& scheduler;
  /// The seat this thread has in another system, taken earlier.
  Seat* outer = nullptr;
  /// Read by others for `Scheduler::progress` alone.
  std::atomic<ActorCell*> running{nullptr};

  /// Runs before all others here. Only the sitter puts one in; anybody may take it out.
  std::atomic<ActorCell*> next{nullptr};
  std::uint32_t next_streak = 0;  ///< how often in a row `next` went before the queue
  std::uint32_t works_seen = 0;   ///< the count of openings at which nothing was left to claim
  std::uint32_t spin_ns = 50'000;
  std::uint32_t victim = 0;  ///< where the last theft succeeded
  // How far this seat has come, both together: looked at by others, written by the sitter alone.
  std::atomic<std::uint32_t> turns{0};  ///< that `run_something` began
  std::atomic<std::uint64_t> more{0};   ///< of others, messages after a turn's first, and chunks

  void count_more() noexcept {
    more.store(more.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }

  Pool::Cache cache;
  std::atomic<std::int64_t> actors{0};  ///< spawned minus ended here; may be negative

  RunQueue<ActorCell*> queue;

  TraceRing* trace = nullptr;  ///< what happened here; made when first needed, owned by the tracer

  /// While tracing: when the message in hand began. It is when the one before ended, if this thread
  /// has been busy since, so one reading of the clock serves both and what is sent meanwhile. 0:
  /// unknown. Others only set it to 0.
  std::atomic<std::uint64_t> trace_tick{0};

  Parker parker;
  const std::uint32_t number;
  bool taken = false;                  ///< by Scheduler::seats_mutex_
  bool asleep = false;                 ///< by Scheduler::sleep_mutex_
  bool waiting = false;                ///< asleep in wait_until; by Scheduler::sleep_mutex_
  Poller* polls = nullptr;             ///< asleep in its poll(); by Scheduler::sleep_mutex_
  std::atomic<bool> dismissed{false};  ///< a worker that must end
};

/// What a thread knows of itself: the only state of the runtime that belongs to no system.
struct ThreadContext {
  Seat* seat = nullptr;           ///< the innermost
  ActorCell* spawning = nullptr;  ///< for the constructor of the body
  ActorCell* to_end = nullptr;    ///< unreachable actors, ended one after another, never nested
  bool ending = false;
};

extern constinit thread_local ThreadContext thread_context;

}  // namespace troupe
