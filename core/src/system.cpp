#include "control.hpp"
#include "pool.hpp"
#include "seat.hpp"
#include "timers.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/core/executor.hpp>
#include <troupe/core/random.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/system.hpp>
#include <troupe/core/trace.hpp>

#include <array>
#include <list>
#include <mutex>
#include <thread>

namespace troupe {

namespace {

constexpr std::size_t services_max = 32;
// A report of a stall is for people to read.
constexpr std::size_t stall_lines_max = 40;

template <class Interface>
Interface* given_or(Interface* given, std::unique_ptr<Interface>& own, auto&& make) {
  if (given) return given;
  own = make();
  return own.get();
}

}  // namespace

struct System::State {
  std::function<void(LogLevel, std::string_view)> log;
  std::unique_ptr<Executor> own_executor;
  std::unique_ptr<Clock> own_clock;
  std::unique_ptr<Disk> own_disk;
  std::unique_ptr<Random> own_random;
  Clock* clock = nullptr;
  Disk* disk = nullptr;
  Random* random = nullptr;

  Pool pool;

  // Actors with a name of their own, for reports. Each leaves before its memory goes.
  std::mutex named_mutex;
  std::list<ActorCell*> named;

  // Read without a lock: entries are only added, and counted when they are whole.
  struct Attached {
    const char* key = nullptr;
    std::unique_ptr<Service> service;
  };
  std::array<Attached, services_max> services;
  std::atomic<std::size_t> service_count{0};

  std::unique_ptr<Tracer> tracer;
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<Timers> timers;
};

System::System() : System(Options{}) {}

System::System(Options options) : state_(std::make_unique<State>()) {
  State& s = *state_;
  if (options.policy && (!options.clock || options.clock->runs_by_itself())) {
    throw Error(
        ErrorCode::invalid_argument,
        "a system with a policy runs in one thread, but a clock that runs by itself has timers "
        "send from another")
        .hint("give Options::clock = make_simulated_clock(), or use sim::World");
  }
  s.log = std::move(options.log);
  s.clock = given_or(options.clock, s.own_clock, make_real_clock);
  s.disk = given_or(options.disk, s.own_disk, make_real_disk);
  s.random = given_or(options.random, s.own_random, make_real_random);
  Executor* executor = given_or(options.executor, s.own_executor, make_thread_executor);
  const unsigned threads =
      options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  s.scheduler = std::make_unique<Scheduler>(*this, s.pool, *executor, options.policy);
  scheduler_ = s.scheduler.get();
  s.tracer = std::make_unique<Tracer>(*this);
  s.timers = std::make_unique<Timers>(*this);
  scheduler_->resize(threads);
}

System::~System() {
  State& s = *state_;
  s.timers->stop();
  for (std::size_t i = s.service_count.load(); i-- > 0;) s.services[i].service->stop();
  scheduler_->stop();
  // Services may own blocks and addresses: they go before the pool and while cells can still end.
  while (const std::size_t count = s.service_count.load()) {
    s.service_count.store(count - 1);
    s.services[count - 1].service.reset();
  }
  scheduler_->stop();
  if (const std::int64_t left = blocks_in_use(); left != 0) {
    log(LogLevel::error,
        std::to_string(left) +
            " blocks of the pool outlive their system: an address or a value is "
            "held longer than the System it came from");
    // Dropping such an address later must do no harm.
    s.pool.keep_memory();
    s.pool.for_each_cell([&](void* block) {
      auto* cell = static_cast<ActorCell*>(block);
      if (cell->system_ == this) cell->system_ = nullptr;
    });
  }
}

ActorCell* System::begin_spawn(const ActorClass& actor_class, std::string_view name) {
  Seat* seat = scheduler_->seat_of_this_thread();
  void* block = seat ? seat->cache.allocate(Pool::cells, actor_class.size)
                     : state_->pool.guest_allocate(Pool::cells, actor_class.size);
  auto* cell = new (block) ActorCell(*this, actor_class);
  // Building the body counts as a turn: what a constructor sends to itself, or has sent by others
  // it told of itself, is not handled before it ends.
  cell->mailbox_.claim();
  if (!name.empty()) {
    detail::ActorExtra& extra = ControlAccess::extra(*cell);
    extra.name = name;
    const std::lock_guard lock(state_->named_mutex);
    extra.listed = state_->named.insert(state_->named.end(), cell);
  }
  // A constructor may spawn: each body must find its own cell, and the outer one its own again.
  cell->next_ = std::exchange(thread_context.spawning, cell);
  return cell;
}

void System::forget_name(ActorCell& cell) noexcept {
  const std::lock_guard lock(state_->named_mutex);
  state_->named.erase(ControlAccess::extra(cell).listed);
}

void System::end_spawn(ActorCell* cell) noexcept {
  thread_context.spawning = std::exchange(cell->next_, nullptr);
  scheduler_->count_actor(1);
  if (cell->flags_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    scheduler_->schedule(*cell);  // it called stop(): a turn ends it
  } else if (cell->references_.only_one() && !cell->mailbox_.has_messages()) [[likely]] {
    cell->mailbox_.unclaim();  // nobody knows of it yet
  } else if (!cell->mailbox_.go_idle()) {
    scheduler_->schedule(*cell);
  }
}

void System::abandon_spawn(ActorCell* cell) noexcept {
  thread_context.spawning = std::exchange(cell->next_, nullptr);
  if (cell->references_.only_one() && !cell->mailbox_.has_messages())
    return scheduler_->free_cell(*cell);
  // Its address has escaped: an actor that stopped before it began.
  cell->flags_.fetch_or(ActorCell::stopped_flag, std::memory_order_release);
  if (!cell->mailbox_.go_idle()) scheduler_->schedule(*cell);
  cell->release();
}

void System::deallocate_cell(void* block, std::size_t bytes) noexcept {
  if (Seat* seat = scheduler_->seat_of_this_thread()) {
    seat->cache.deallocate(Pool::cells, block, bytes);
  } else {
    state_->pool.guest_deallocate(Pool::cells, block, bytes);
  }
}

void* System::allocate(std::size_t bytes) {
  if (Seat* seat = scheduler_->seat_of_this_thread())
    return seat->cache.allocate(Pool::data, bytes);
  return state_->pool.guest_allocate(Pool::data, bytes);
}

void System::deallocate(void* block, std::size_t bytes) noexcept {
  if (Seat* seat = scheduler_->seat_of_this_thread())
    return seat->cache.deallocate(Pool::data, block, bytes);
  state_->pool.guest_deallocate(Pool::data, block, bytes);
}

void System::run_ready() { scheduler_->run_ready(); }
void System::submit(Ref<Work> work) { scheduler_->submit(std::move(work)); }
void System::resize(unsigned threads) {
  if (inside_actor())
    throw Error(ErrorCode::inside_actor, "an actor's turn must not resize the system that runs it");
  scheduler_->resize(threads);
}
unsigned System::threads() const noexcept { return scheduler_->threads(); }
bool System::inside_actor() const noexcept { return scheduler_->running() != nullptr; }
void System::notify_waiters() noexcept { scheduler_->notify_waiters(); }
void System::pending_outside(int delta) noexcept { scheduler_->pending_outside(delta); }

void System::set_poller(Poller* poller) noexcept { scheduler_->set_poller(poller); }

void System::wait_until(bool (*done)(void*), void* context, std::string_view what) {
  scheduler_->wait_until(done, context, what);
}

Clock& System::clock() noexcept { return *state_->clock; }
Disk& System::disk() noexcept { return *state_->disk; }
Tracer& System::tracer() noexcept { return *state_->tracer; }
Random& System::random() noexcept { return *state_->random; }

void System::log(LogLevel level, std::string_view line) {
  if (state_->log) state_->log(level, line);
}

void System::attach(const char* key, std::unique_ptr<Service> service) {
  State& s = *state_;
  const std::size_t count = s.service_count.load(std::memory_order_relaxed);
  if (find(key))
    throw Error(ErrorCode::invalid_argument, "a service of this type is attached already");
  if (count == services_max)
    throw Error(ErrorCode::invalid_argument, "a system takes at most 32 services");
  s.services[count] = {key, std::move(service)};
  s.service_count.store(count + 1, std::memory_order_release);
}

Service* System::find(const char* key) const noexcept {
  const State& s = *state_;
  const std::size_t count = s.service_count.load(std::memory_order_acquire);
  for (std::size_t i = 0; i < count; ++i)
    if (s.services[i].key == key) return s.services[i].service.get();
  return nullptr;
}

std::uint64_t System::set_timer(std::int64_t delay_ns, Ref<ActorCell> to, Message& message) {
  return state_->timers->set(delay_ns, std::move(to), message);
}

bool System::cancel(std::uint64_t timer) noexcept { return state_->timers->cancel(timer); }

void System::drop(Message& message) noexcept { scheduler_->destroy_message(message); }

bool System::advance_clock() { return state_->timers->advance_clock(); }
std::int64_t System::next_timer_ns() const noexcept { return state_->timers->next_ns(); }

std::string System::describe_stall() const {
  std::string report;
  {
    // The lock keeps their memory, and their own turn keeps their bodies.
    const std::lock_guard lock(state_->named_mutex);
    std::size_t listed = 0;
    for (ActorCell* cell : state_->named) {
      if (cell->stopped() || ++listed > stall_lines_max) continue;
      report += "\n  actor " + std::string(cell->name());
      if (!cell->mailbox_.try_claim()) {
        report += ": has messages that it did not handle yet";
        continue;
      }
      std::string what = "a message";
      try {
        if (cell->class_->waits_for && !cell->stopped()) what = cell->class_->waits_for(*cell);
      } catch (...) {  // a report can do without, and the turn must be given back
      }
      report += ": waits for " + what;
      if (!cell->mailbox_.go_idle()) scheduler_->schedule(*cell);
    }
    if (listed > stall_lines_max)
      report += "\n  and " + std::to_string(listed - stall_lines_max) + " more actors with a name";
  }
  for (std::size_t i = 0; i < state_->service_count.load(); ++i)
    state_->services[i].service->describe_stall(report);
  return report;
}

std::int64_t System::actors_alive() const noexcept { return scheduler_->actors_alive(); }

Progress System::progress() const noexcept { return scheduler_->progress(); }

std::int64_t System::blocks_in_use() const noexcept {
  return scheduler_->blocks_in_use() + state_->pool.guest_in_use(Pool::data) +
         state_->pool.guest_in_use(Pool::cells);
}

}  // namespace troupe
