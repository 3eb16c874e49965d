#pragma once

#include <troupe/core/actor.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/core/disk.hpp>
#include <troupe/core/error.hpp>
#include <troupe/core/progress.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace troupe {

namespace sim {
class World;
}
class Clock;
class Executor;
class Policy;
class Poller;
class Random;
class Scheduler;
class Tracer;

/// How important a line for the log is.
enum class LogLevel : std::uint8_t { debug, info, warning, error };

/// Something attached to a system for its lifetime: a device, the list of ops, the network. Found
/// by its type; stopped, in the reverse order of attaching, before the actors' memory goes.
class Service {
 public:
  virtual ~Service() = default;
  /// Ends what the service began; nothing of its own may run afterwards.
  virtual void stop() noexcept {}
  /// Adds to the report of a stall what the service knows of who waits for what, a line for each.
  virtual void describe_stall(std::string& report) const { (void)report; }
};

/// Owns everything that runs: scheduler, actors, message pool, clock, disk, random, services.
/// Several may live in one process; nothing is global.
///
/// Threads   spawn, send and wait from any; the destructor from one, when no other uses the system.
/// Stopping  the destructor stops services and actors and leaves no thread, buffer or file behind.
class System {
 public:
  struct Options {
    /// Threads that run actors and kernels, the waiting caller counted: 1 makes none, and
    /// everything runs in the calls of the caller. 0: one for each core.
    unsigned threads = 0;
    /// Where lines worth a person's attention go; the library itself never prints.
    std::function<void(LogLevel, std::string_view)> log = {};
    /// Simulated or host-given stand-ins; null: the real ones. Must outlive the system. A policy
    /// needs a clock that does not run by itself, for a real timer would send from its own thread.
    Executor* executor = nullptr;
    Clock* clock = nullptr;
    Disk* disk = nullptr;
    Random* random = nullptr;
    Policy* policy = nullptr;
  };

  System();
  explicit System(Options options);
  ~System();
  System(const System&) = delete;
  System& operator=(const System&) = delete;

  /// Makes an actor; it runs when the first message comes.
  template <class Body, class... Args>
  typename Body::AddressType spawn(Args&&... args) {
    return spawn_named<Body>({}, std::forward<Args>(args)...);
  }
  /// The same, with a name of its own in reports and traces. Long-lived actors should have one.
  template <class Body, class... Args>
  typename Body::AddressType spawn_named(std::string_view name, Args&&... args);

  /// Waits until `done()` is true, running ready actors and kernel chunks meanwhile.
  /// Throws `inside_actor` when called in an actor's turn, `stalled` when nothing can run any more
  /// and nothing is pending outside; `what` says what was waited for. `done` is called on this
  /// thread between turns and must be cheap.
  ///
  /// What makes `done` true must be an actor's turn, a `Completion` or a message from outside, or
  /// be followed by `notify_waiters()`.
  template <class Done>
  void wait_until(Done&& done, std::string_view what);
  /// Lets those who wait look again.
  void notify_waiters() noexcept;

  /// Runs actors that are ready on this thread's own queue, without waiting and without kernel
  /// chunks. Does nothing inside a turn, where the trampoline of the enclosing call goes on.
  void run_ready();

  /// Hands chunked work to the workers. With one thread in all, a caller that has a seat (in a
  /// turn, or under a `CallerGuard`) runs it before this returns; without one, it runs when
  /// somebody waits.
  void submit(Ref<Work> work);

  /// Counts what will send from outside the actors: an armed timer, a kernel on a GPU, a socket
  /// that listens. While the count is not 0, nobody who waits is told that the system stalled.
  void pending_outside(int delta) noexcept;

  /// Where a thread that has nothing to do waits from now on, until null is set: then none does any
  /// more when this returns. One at a time; not in an actor's turn.
  void set_poller(Poller* poller) noexcept;

  /// Sends `message` to `to` once `delay_ns` have passed on the system's clock. With the real clock
  /// the first call makes the system's timer thread.
  /// @returns a number for `cancel`; false from that when the message was sent already.
  template <class... Ms, class M>
  requires OneOf<M, Ms...> std::uint64_t after(
      std::int64_t delay_ns, const Address<Ms...>& to, M message) {
    return set_timer(delay_ns, to.cell(), *to.cell()->template make_message<M>(std::move(message)));
  }
  bool cancel(std::uint64_t timer) noexcept;

  /// Changes the number of threads at any time; running turns and chunks are finished first.
  void resize(unsigned threads);
  [[nodiscard]] unsigned threads() const noexcept;

  /// Whether this thread is inside an actor's turn of this system.
  [[nodiscard]] bool inside_actor() const noexcept;

  [[nodiscard]] Clock& clock() noexcept;
  [[nodiscard]] Disk& disk() noexcept;
  [[nodiscard]] Random& random() noexcept;
  [[nodiscard]] Scheduler& scheduler() noexcept { return *scheduler_; }
  [[nodiscard]] Tracer& tracer() noexcept;
  void log(LogLevel level, std::string_view line);

  /// Attaches a service; there can be one of each type, and 32 in all. Not while others use the
  /// system.
  template <class S, class... Args>
  S& attach(Args&&... args) {
    auto service = std::make_unique<S>(std::forward<Args>(args)...);
    S& attached = *service;
    attach(&service_key<S>, std::move(service));
    return attached;
  }
  /// The attached service of this exact type, or null. Lock-free; cheap enough for every call.
  template <class S>
  [[nodiscard]] S* find() const noexcept {
    return static_cast<S*>(find(&service_key<S>));
  }

  /// A block of the system's pool, at least 16-byte aligned; freed with `deallocate` and the same
  /// size, from any thread. Meant for small, short-lived things: messages, nodes, records, values.
  [[nodiscard]] void* allocate(std::size_t bytes);
  void deallocate(void* block, std::size_t bytes) noexcept;

  /// Actors alive now; 0 after all have stopped.
  [[nodiscard]] std::int64_t actors_alive() const noexcept;
  /// Blocks of the pool in use now, actors' and others'; for tests of leaks. Exact when nothing
  /// runs.
  [[nodiscard]] std::int64_t blocks_in_use() const noexcept;
  /// How far the threads have come, from any thread; with a policy, from the one that runs all.
  /// With one thread only a turn under way counts as busy: what else waits does so for the caller,
  /// who may have things of its own to do.
  [[nodiscard]] Progress progress() const noexcept;

 private:
  friend class ActorCell;
  friend class Scheduler;
  friend class Timers;
  friend class sim::World;

  template <class S>
  static constexpr char service_key = 0;

  ActorCell* begin_spawn(const ActorClass& actor_class, std::string_view name);
  void abandon_spawn(ActorCell* cell) noexcept;
  void forget_name(ActorCell& cell) noexcept;
  void end_spawn(ActorCell* cell) noexcept;
  void deallocate_cell(void* block, std::size_t bytes) noexcept;
  void attach(const char* key, std::unique_ptr<Service> service);
  [[nodiscard]] Service* find(const char* key) const noexcept;
  void wait_until(bool (*done)(void*), void* context, std::string_view what);
  std::uint64_t set_timer(std::int64_t delay_ns, Ref<ActorCell> to, Message& message);
  void drop(Message& message) noexcept;
  bool advance_clock();
  [[nodiscard]] std::int64_t next_timer_ns() const noexcept;  // the largest number if none is set
  [[nodiscard]] std::string describe_stall() const;

  struct State;
  std::unique_ptr<State> state_;
  Scheduler* scheduler_ = nullptr;
};

template <class Body, class... Args>
typename Body::AddressType System::spawn_named(std::string_view name, Args&&... args) {
  static_assert(alignof(Body) <= alignof(std::max_align_t), "the pool aligns to 16 bytes");
  ActorCell* cell = begin_spawn(ActorAccess::class_of<Body>, name);
  try {
    new (reinterpret_cast<std::byte*>(cell) + ActorAccess::body_offset<Body>)
        Body(std::forward<Args>(args)...);
  } catch (...) {
    abandon_spawn(cell);
    throw;
  }
  end_spawn(cell);
  return typename Body::AddressType(Ref<ActorCell>::adopt(cell));
}

template <class Done>
void System::wait_until(Done&& done, std::string_view what) {
  using Function = std::remove_reference_t<Done>;
  wait_until(
      [](void* context) -> bool { return (*static_cast<Function*>(context))(); },
      const_cast<void*>(static_cast<const volatile void*>(std::addressof(done))),
      what);
}

}  // namespace troupe
