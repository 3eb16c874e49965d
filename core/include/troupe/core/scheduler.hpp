#pragma once

#include <troupe/core/completion.hpp>
#include <troupe/core/progress.hpp>
#include <troupe/core/sleepers.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

class Executor;
class Policy;
class Poller;
class Pool;
class System;
class Tracer;
struct Seat;

/// Runs actors and the chunks of kernels on the same threads.
///
/// A thread that runs anything sits on a *seat*: a queue of ready actors, a place for the one to
/// run next, a cache of the pool. Worker threads have theirs for life; a thread from outside takes
/// one while it waits, or for as long as it holds a `CallerGuard`. Whatever lies in a seat's queue
/// can be stolen, whether or not somebody sits there.
///
/// Order     chunks before actors; an actor that a turn made ready runs next, on the same thread,
/// up to
///           16 in a row; then the seat's queue, first in first out; then what came from threads
///           without a seat; then what others have.
/// Waking    a sleeping worker is woken for chunks, for actors that say they are heavy, when a
/// queue
///           grows long, and when a thread leaves its seat with something in the queue. Otherwise
///           ready actors wait for their own thread or for a thread that is awake and looking:
///           waking costs more than a thousand turns.
/// Outside   one of the sleeping threads sleeps in the `Poller`, if there is one.
/// Forgotten nothing: a thread sleeps only after it announced so and then found every queue empty.
class Scheduler {
 public:
  /// Holds a seat for this thread, so that what it sends is queued without a lock and without
  /// waking anybody, and runs when it waits or calls `run_ready`. Guards may nest; each ends on its
  /// own thread.
  class CallerGuard {
   public:
    explicit CallerGuard(System& system);
    ~CallerGuard();
    CallerGuard(const CallerGuard&) = delete;
    CallerGuard& operator=(const CallerGuard&) = delete;

   private:
    friend class Scheduler;
    Scheduler* scheduler_;
    Seat* seat_;  // null: this thread already had one
  };

  Scheduler(System& system, Pool& pool, Executor& executor, Policy* policy);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  /// Queues an actor that its sender found idle.
  void schedule(ActorCell& cell) noexcept;
  void submit(Ref<Work> work);
  void run_ready();
  void wait_until(bool (*done)(void*), void* context, std::string_view what);

  void resize(unsigned threads);
  [[nodiscard]] unsigned threads() const noexcept {
    return threads_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] Policy* policy() const noexcept { return policy_; }
  /// The actor whose turn this thread is in; null outside of turns.
  [[nodiscard]] ActorCell* running() const noexcept;

  [[nodiscard]] std::int64_t actors_alive() const noexcept;
  [[nodiscard]] std::int64_t blocks_in_use() const noexcept;
  [[nodiscard]] Progress progress() const noexcept;

  void notify_waiters() noexcept;
  /// A count of things that will send from outside: timers, a device's completions, sockets. While
  /// it is not 0, nobody who waits is told that the system stalled.
  void pending_outside(int delta) noexcept;
  void set_poller(Poller* poller) noexcept;

  /// Ends all worker threads, then every actor, and drops their messages; kernels are run to their
  /// end.
  void stop() noexcept;

  /// Runs the policy's next choice; false when nothing was ready. Only with a policy.
  bool run_one_by_policy();

 private:
  friend class System;
  friend class ActorCell;
  friend class Completion;
  friend class Tracer;
  friend struct ControlAccess;
  // --- seats
  Seat* reserve_seat(bool for_worker);
  void free_seat(Seat& seat) noexcept;
  static void sit_down(Seat& seat) noexcept;
  void leave_seat(Seat& seat) noexcept;
  [[nodiscard]] Seat* seat_of_this_thread() const noexcept;

  // --- running
  void worker_loop(Seat& seat);
  bool run_something(Seat& seat);
  ActorCell* next_local(Seat& seat) noexcept;
  ActorCell* take_injected(Seat& seat) noexcept;
  ActorCell* steal(Seat& seat) noexcept;
  void run_actor(Seat& seat, ActorCell& cell) noexcept;
  void push_local(Seat& seat, ActorCell& cell) noexcept;
  void inject(ActorCell& cell) noexcept;
  bool spin(Seat& seat, bool (*done)(void*), void* context);

  // --- an actor's end; see actor_cell.cpp
  void fail_actor(ActorCell& cell) noexcept;
  void end_actor(ActorCell& cell) noexcept;
  void end_unreachable(ActorCell& cell) noexcept;
  void end_one_unreachable(ActorCell& cell) noexcept;
  void drop_messages(ActorCell& cell) noexcept;
  void destroy_message(Message& message) noexcept;
  void count_actor(int by) noexcept;
  void free_cell(ActorCell& cell) noexcept;

  // --- chunks
  bool help(Seat& seat);
  bool run_chunk(Seat& seat, Work& work);
  static std::uint64_t claimable(const Work& work) noexcept;
  void open(Work& work, std::uint32_t phase, bool first) noexcept;
  void close(Work& work) noexcept;
  void run_at_once(Work& work);

  // --- sleeping
  [[nodiscard]] bool something_to_do(const Seat& seat) const noexcept;
  void sleep(Seat& seat, bool (*done)(void*), void* context, std::string_view what);
  bool get_up(Seat& seat, bool polls) noexcept;
  [[nodiscard]] bool much_to_do() const noexcept;
  void wake_locked(Seat& seat) noexcept;
  void wake(std::unique_lock<std::mutex>& lock, Seat& seat) noexcept;
  void wake_one() noexcept;
  void wake_all() noexcept;
  void wake_waiters() noexcept;
  [[nodiscard]] bool all_asleep() const noexcept;
  [[noreturn]] void report_stall(std::string_view what);

  System& system_;
  Pool& pool_;
  Executor& executor_;
  Policy* const policy_;

  static constexpr std::size_t seats_max = 1024;
  std::unique_ptr<std::atomic<Seat*>[]> seats_;
  std::atomic<std::uint32_t> seat_count_{0};
  std::mutex seats_mutex_;
  std::atomic<unsigned> threads_{1};
  std::atomic<std::int64_t> guest_actors_{0};  // spawned minus ended by threads without a seat
  std::mutex resize_mutex_;
  std::vector<Seat*> workers_;  // by resize_mutex_
  std::mutex workers_mutex_;
  std::condition_variable worker_ended_;
  unsigned worker_count_ = 0;  // by workers_mutex_
  std::atomic<bool> stopping_{false};

  // Actors from threads without a seat, first in first out.
  mutable std::mutex injected_mutex_;
  ActorCell* injected_first_ = nullptr;
  ActorCell* injected_last_ = nullptr;
  std::atomic<std::uint32_t> injected_count_{0};

  // Kernels with chunks that nobody has begun. The epoch counts up with each opening of a phase, so
  // that a thread that found nothing to claim looks again only when there may be something.
  std::mutex works_mutex_;
  Work* works_first_ = nullptr;
  Work* works_last_ = nullptr;
  std::atomic<std::uint32_t> works_in_flight_{0};
  std::atomic<std::uint32_t> works_open_{0};

  // Who sleeps. `awake_` counts seats that are taken and not asleep.
  mutable std::mutex sleep_mutex_;
  std::vector<Seat*> sleepers_;
  Sleepers sleeping_;
  Sleepers waiters_;  // those of them who wait for something
  std::atomic<std::uint32_t> searching_{0};
  std::atomic<std::int32_t> awake_{0};
  std::atomic<std::int64_t> pending_outside_{0};
  Poller* poller_ = nullptr;  // by sleep_mutex_
  std::atomic<bool> has_poller_{false};
  bool polled_ = false;  // somebody is in poll(), or about to be; by sleep_mutex_
  std::condition_variable unpolled_;

  std::atomic<Tracer*> tracer_{nullptr};  // null while tracing is off

  // With a policy: everything that is ready, in order.
  std::vector<ActorCell*> ready_;
};

}  // namespace troupe
