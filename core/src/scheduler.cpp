#include "actor_extra.hpp"
#include "control.hpp"
#include "seat.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/executor.hpp>
#include <troupe/core/policy.hpp>
#include <troupe/core/poller.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/system.hpp>
#include <troupe/core/trace.hpp>

#include <algorithm>
#include <chrono>

namespace troupe {

constinit thread_local ThreadContext thread_context;

namespace {

// Messages that one activation may handle before the actor goes behind the others.
constexpr unsigned turn_messages = 100;
// Turns in a row that the `next` place may go before the queue.
constexpr unsigned streak_max = 16;
// A queue this long is worth waking somebody for.
constexpr std::uint64_t long_queue = 16;
// How often threads without a seat come before the queue.
constexpr std::uint32_t injected_every = 61;
// How long a thread looks for something to do before it sleeps: about what one wake-up costs. Seats
// that look in vain look for less the next time.
constexpr std::uint32_t spin_ns_max = 60'000;
constexpr std::uint32_t spin_ns_min = 4'000;
constexpr std::uint32_t spin_ns_busy = 200'000;

void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

std::int64_t now_ns() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

}  // namespace

// --- seats ---------------------------------------------------------------------------------------

Scheduler::Scheduler(System& system, Pool& pool, Executor& executor, Policy* policy)
    : system_(system),
      pool_(pool),
      executor_(executor),
      policy_(policy),
      seats_(std::make_unique<std::atomic<Seat*>[]>(seats_max)) {}

Scheduler::~Scheduler() {
  for (std::uint32_t i = 0; i < seat_count_.load(); ++i) delete seats_[i].load();
}

Seat* Scheduler::seat_of_this_thread() const noexcept {
  Seat* seat = thread_context.seat;
  while (seat && &seat->scheduler != this) [[unlikely]] seat = seat->outer;
  return seat;
}

Seat* Scheduler::reserve_seat(bool for_worker) {
  Seat* seat = nullptr;
  {
    const std::lock_guard lock(seats_mutex_);
    const std::uint32_t count = seat_count_.load(std::memory_order_relaxed);
    // Callers take the first free seat, so that one caller after another finds what is queued
    // there; workers take the last.
    for (std::uint32_t i = 0; i < count && !seat; ++i) {
      Seat* candidate = seats_[for_worker ? count - 1 - i : i].load(std::memory_order_relaxed);
      if (!candidate->taken) seat = candidate;
    }
    if (!seat) {
      if (count == seats_max)
        throw Error(ErrorCode::invalid_argument, "more than 1024 threads run actors of one system");
      seat = new Seat(*this, pool_, count);
      seats_[count].store(seat, std::memory_order_release);
      seat_count_.store(count + 1, std::memory_order_release);
    }
    seat->taken = true;
    seat->dismissed.store(false, std::memory_order_relaxed);
  }
  {
    const std::lock_guard lock(sleep_mutex_);
    awake_.fetch_add(1, std::memory_order_relaxed);
  }
  return seat;
}

void Scheduler::sit_down(Seat& seat) noexcept {
  seat.outer = thread_context.seat;
  thread_context.seat = &seat;
}

void Scheduler::leave_seat(Seat& seat) noexcept {
  for (Seat** link = &thread_context.seat; *link; link = &(*link)->outer) {
    if (*link == &seat) {
      *link = seat.outer;
      break;
    }
  }
  free_seat(seat);
}

void Scheduler::free_seat(Seat& seat) noexcept {
  if (ActorCell* cell = seat.next.exchange(nullptr, std::memory_order_acq_rel))
    seat.queue.push(cell);
  const bool left_something = seat.queue.size() != 0;
  bool last = false;
  {
    const std::lock_guard lock(sleep_mutex_);
    last = awake_.fetch_sub(1, std::memory_order_relaxed) == 1;
  }
  {
    const std::lock_guard lock(seats_mutex_);
    seat.taken = false;
  }
  if (left_something) wake_one();
  // The one who waits elsewhere may have waited for this thread.
  else if (last && waiters_.maybe())
    wake_waiters();
}

Scheduler::CallerGuard::CallerGuard(System& system)
    : scheduler_(&system.scheduler()),
      seat_(scheduler_->seat_of_this_thread() ? nullptr : scheduler_->reserve_seat(false)) {
  if (seat_) scheduler_->sit_down(*seat_);
}

Scheduler::CallerGuard::~CallerGuard() {
  if (seat_) scheduler_->leave_seat(*seat_);
}

ActorCell* Scheduler::running() const noexcept {
  const Seat* seat = seat_of_this_thread();
  return seat ? seat->running.load(std::memory_order_relaxed) : nullptr;
}

std::int64_t Scheduler::actors_alive() const noexcept {
  std::int64_t alive = guest_actors_.load(std::memory_order_relaxed);
  const std::uint32_t count = seat_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i)
    alive += seats_[i].load(std::memory_order_acquire)->actors.load(std::memory_order_relaxed);
  return alive;
}

Progress Scheduler::progress() const noexcept {
  Progress progress;
  // What waits for a caller's thread waits for as long as the caller likes.
  const bool somebody_should = threads() > 1;
  progress.busy = somebody_should && (works_in_flight_.load(std::memory_order_relaxed) != 0 ||
                                      injected_count_.load(std::memory_order_relaxed) != 0);
  progress.busy |= !ready_.empty();
  const std::uint32_t count = seat_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Seat& seat = *seats_[i].load(std::memory_order_acquire);
    progress.done += seat.turns.load(std::memory_order_relaxed);
    progress.done += seat.more.load(std::memory_order_relaxed);
    progress.busy |= seat.running.load(std::memory_order_relaxed) != nullptr;
    progress.busy |= somebody_should && (seat.queue.size() != 0 ||
                                         seat.next.load(std::memory_order_relaxed) != nullptr);
  }
  return progress;
}

std::int64_t Scheduler::blocks_in_use() const noexcept {
  std::int64_t blocks = 0;
  const std::uint32_t count = seat_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Pool::Cache& cache = seats_[i].load(std::memory_order_acquire)->cache;
    blocks += cache.in_use(Pool::data) + cache.in_use(Pool::cells);
  }
  return blocks;
}

// --- making actors ready -------------------------------------------------------------------------

void ActorCell::deliver(Message& message) noexcept {
  Scheduler& scheduler = system_->scheduler();
  if (Tracer* tracer = scheduler.tracer_.load(std::memory_order_relaxed)) [[unlikely]]
    tracer->sent(message);
  if (mailbox_.push(message)) scheduler.schedule(*this);
}

void Scheduler::schedule(ActorCell& cell) noexcept {
  if (policy_) [[unlikely]] {
    ready_.push_back(&cell);
    return;
  }
  Seat* seat = thread_context.seat;
  if (!seat || &seat->scheduler != this) [[unlikely]] {
    seat = seat_of_this_thread();
    if (!seat) return inject(cell);
  }
  if (cell.class_->heavy) [[unlikely]] {
    // Worth a thread of its own: into the queue, where one who wakes finds it first.
    seat->queue.push(&cell);
    return wake_one();
  }
  // Only this thread puts one in, so a place that is free stays free.
  ActorCell* previous = seat->next.load(std::memory_order_relaxed);
  if (!previous) {
    seat->next.store(&cell, std::memory_order_release);
  } else {
    previous = seat->next.exchange(&cell, std::memory_order_acq_rel);
    if (previous) push_local(*seat, *previous);
  }
}

void Scheduler::push_local(Seat& seat, ActorCell& cell) noexcept {
  const std::uint64_t length = seat.queue.push(&cell);
  if (length % long_queue == 0) [[unlikely]]
    wake_one();
}

void Scheduler::inject(ActorCell& cell) noexcept {
  {
    const std::lock_guard lock(injected_mutex_);
    cell.next_ = nullptr;
    (injected_last_ ? injected_last_->next_ : injected_first_) = &cell;
    injected_last_ = &cell;
    injected_count_.fetch_add(1, std::memory_order_release);
  }
  wake_one();
}

ActorCell* Scheduler::take_injected(Seat&) noexcept {
  if (injected_count_.load(std::memory_order_acquire) == 0) return nullptr;
  const std::lock_guard lock(injected_mutex_);
  ActorCell* cell = injected_first_;
  if (!cell) return nullptr;
  injected_first_ = std::exchange(cell->next_, nullptr);
  if (!injected_first_) injected_last_ = nullptr;
  injected_count_.fetch_sub(1, std::memory_order_relaxed);
  return cell;
}

ActorCell* Scheduler::next_local(Seat& seat) noexcept {
  if (seat.next.load(std::memory_order_relaxed)) {
    if (seat.next_streak < streak_max) {
      if (ActorCell* cell = seat.next.exchange(nullptr, std::memory_order_acquire)) {
        ++seat.next_streak;
        return cell;
      }
    } else if (seat.queue.size() != 0) {
      if (ActorCell* cell = seat.next.exchange(nullptr, std::memory_order_acquire))
        seat.queue.push(cell);
    }
  }
  seat.next_streak = 0;
  if (ActorCell* cell = seat.queue.take()) return cell;
  return seat.next.load(std::memory_order_relaxed)
             ? seat.next.exchange(nullptr, std::memory_order_acquire)
             : nullptr;
}

ActorCell* Scheduler::steal(Seat& seat) noexcept {
  const std::uint32_t count = seat_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t number = (seat.victim + i) % count;
    Seat* victim = seats_[number].load(std::memory_order_acquire);
    if (victim == &seat) continue;
    if (ActorCell* cell = victim->queue.take()) {
      seat.victim = number;
      return cell;
    }
  }
  // What somebody is about to run next is taken only if there is nothing else: it is warm there.
  for (std::uint32_t i = 0; i < count; ++i) {
    Seat* victim = seats_[i].load(std::memory_order_acquire);
    if (victim == &seat || !victim->next.load(std::memory_order_relaxed)) continue;
    if (ActorCell* cell = victim->next.exchange(nullptr, std::memory_order_acq_rel)) return cell;
  }
  return nullptr;
}

// --- running -------------------------------------------------------------------------------------

void Scheduler::destroy_message(Message& message) noexcept {
  const MessageType& type = message.type();
  type.destroy(message);
  system_.deallocate(&message, type.size);
}

void Scheduler::run_actor(Seat& seat, ActorCell& cell) noexcept {
  seat.running.store(&cell, std::memory_order_relaxed);
  unsigned budget = policy_ ? policy_->turn_messages() : turn_messages;
  bool first = true;  // which is counted with the turn
  if (stopping_.load(std::memory_order_relaxed)) [[unlikely]]
    cell.stop_after_turn();
  for (;;) {
    std::uint32_t flags = cell.flags_.load(std::memory_order_relaxed);
    if (flags) [[unlikely]] {
      if (flags == ActorCell::stopping_flag) end_actor(cell);
      flags |= ActorCell::stopped_flag;
    }
    Message* message = cell.mailbox_.pop();
    if (!message) {
      if (cell.mailbox_.go_idle()) break;
      continue;
    }
    if (!std::exchange(first, false)) seat.count_more();
    const MessageType& type = message->type();
    if (type.control) [[unlikely]] {
      if (&type == &message_type<Unreachable>) {
        const References::Arrived arrived = cell.references_.arrive(cell.mailbox_);
        if (arrived == References::Arrived::too_early) {
          (void)cell.mailbox_.push(*message);
          continue;
        }
        destroy_message(*message);
        if (arrived == References::Arrived::given_back) continue;
        end_unreachable(cell);
        break;
      }
      if (!cell.class_->remote || flags & ActorCell::stopped_flag) {
        type.control(cell, *message);
      } else {
        try {
          cell.class_->handle(cell, *message);
        } catch (...) {
          fail_actor(cell);
        }
      }
    } else if (!(flags & ActorCell::stopped_flag)) {
      Tracer* const tracer = tracer_.load(std::memory_order_relaxed);
      std::uint64_t began = 0;
      if (tracer) [[unlikely]]
        began = tracer->begin(seat);
      try {
        cell.class_->handle(cell, *message);
      } catch (...) {
        fail_actor(cell);
      }
      if (tracer) [[unlikely]]
        tracer->handled(seat, cell, *message, began);
    }
    type.destroy(*message);
    seat.cache.deallocate(Pool::data, message, type.size);
    if (--budget == 0) [[unlikely]] {
      if (policy_) {
        ready_.push_back(&cell);
      } else {
        push_local(seat, cell);
      }
      break;
    }
  }
  seat.running.store(nullptr, std::memory_order_relaxed);
  // Going idle was the exchange; an actor that did not go idle is queued and will end another turn.
  if (waiters_.any_after_rmw()) [[unlikely]]
    wake_waiters();
}

bool Scheduler::run_something(Seat& seat) {
  if (works_in_flight_.load(std::memory_order_relaxed) && help(seat)) return true;
  ActorCell* cell = nullptr;
  const std::uint32_t turn = seat.turns.load(std::memory_order_relaxed) + 1;
  if (turn % injected_every == 0) cell = take_injected(seat);
  if (!cell) cell = next_local(seat);
  if (!cell) cell = take_injected(seat);
  if (!cell) cell = steal(seat);
  if (!cell) return false;
  seat.turns.store(turn, std::memory_order_relaxed);
  run_actor(seat, *cell);
  return true;
}

bool Scheduler::run_one_by_policy() {
  CallerGuard guard(system_);
  Seat& seat = *seat_of_this_thread();
  std::size_t open = 0;
  for (Work* work = works_first_; work; work = work->next_work_) ++open;
  const std::size_t choices = open + ready_.size();
  if (choices == 0) return false;
  std::size_t pick = policy_->pick(choices);
  if (pick < open) {
    Work* work = works_first_;
    while (pick--) work = work->next_work_;
    const Ref<Work> held = Ref<Work>::share(work);
    run_chunk(seat, *held);
  } else {
    pick -= open;
    ActorCell* cell = ready_[pick];
    ready_.erase(ready_.begin() + static_cast<std::ptrdiff_t>(pick));
    seat.count_more();
    run_actor(seat, *cell);
  }
  return true;
}

void Scheduler::run_ready() {
  if (running()) return;  // the enclosing call goes on
  if (policy_) {
    while (policy_->run_now() && run_one_by_policy()) {
    }
    return;
  }
  CallerGuard guard(system_);
  Seat& seat = *seat_of_this_thread();
  seat.trace_tick.store(0, std::memory_order_relaxed);  // the caller was busy with its own things
  for (;;) {
    ActorCell* cell = next_local(seat);
    if (!cell && threads() == 1) cell = take_injected(seat);  // nobody else would
    if (!cell) return;
    seat.count_more();
    run_actor(seat, *cell);
  }
}

void Scheduler::worker_loop(Seat& seat) {
  while (!seat.dismissed.load(std::memory_order_relaxed) &&
         !stopping_.load(std::memory_order_relaxed)) {
    if (run_something(seat) || spin(seat, nullptr, nullptr)) continue;
    sleep(seat, nullptr, nullptr, {});
  }
}

void Scheduler::wait_until(bool (*done)(void*), void* context, std::string_view what) {
  if (running()) {
    throw Error(ErrorCode::inside_actor, "an actor's turn must not wait for " + std::string(what))
        .actor(running()->name())
        .hint("let the answer come as a message, or wait where no actor runs");
  }
  CallerGuard guard(system_);
  Seat& seat = *seat_of_this_thread();
  seat.trace_tick.store(0, std::memory_order_relaxed);
  if (policy_ && policy_->wait(done, context, what)) return;
  while (!done(context)) {
    if (policy_) {
      if (!run_one_by_policy() && !system_.advance_clock() && !done(context)) report_stall(what);
    } else if (!run_something(seat) && !spin(seat, done, context)) {
      sleep(seat, done, context, what);
    }
  }
}

// --- chunks --------------------------------------------------------------------------------------

void Scheduler::submit(Ref<Work> work) {
  Work& w = *work;
  std::uint32_t phase = 0;
  while (phase < w.phases && w.chunks[phase] == 0) ++phase;
  const bool seated = seat_of_this_thread() != nullptr;
  const bool at_once = policy_ ? policy_->run_now() : threads() == 1 && seated;
  if (phase == w.phases || at_once) return run_at_once(w);

  works_in_flight_.fetch_add(1, std::memory_order_relaxed);
  (void)work.detach();  // the list's reference, given back by close()
  open(w, phase, true);
  // This thread helps when its turn is over; a single chunk can wait for that.
  if (w.chunks[phase] > 1 || !seated) wake_one();
}

void Scheduler::run_at_once(Work& work) {
  Tracer* const tracer = tracer_.load(std::memory_order_relaxed);
  Seat* const seat = seat_of_this_thread();
  const std::uint64_t began = tracer ? tracer->now() : 0;
  for (std::uint32_t phase = 0; phase < work.phases; ++phase) {
    for (std::uint32_t chunk = 0; chunk < work.chunks[phase]; ++chunk) {
      work.run_chunk(phase, chunk);
      if (seat) seat->count_more();
    }
  }
  if (tracer && seat) [[unlikely]]
    tracer->ran(*seat, work, 0, 0, began);
  work.finished();
  work.finish();
}

void Scheduler::open(Work& work, std::uint32_t phase, bool first) noexcept {
  work.chunks_left_.store(work.chunks[phase], std::memory_order_relaxed);
  const std::lock_guard lock(works_mutex_);
  if (first) {
    work.next_work_ = nullptr;
    (works_last_ ? works_last_->next_work_ : works_first_) = &work;
    works_last_ = &work;
  }
  work.claim_.store(std::uint64_t{phase} << 32, std::memory_order_release);
  works_open_.fetch_add(1, std::memory_order_release);
}

bool Scheduler::help(Seat& seat) {
  const std::uint32_t opened = works_open_.load(std::memory_order_acquire);
  if (opened == seat.works_seen) return false;
  Ref<Work> work;
  bool more = false;
  {
    const std::lock_guard lock(works_mutex_);
    for (Work* candidate = works_first_; candidate; candidate = candidate->next_work_) {
      const std::uint64_t left = claimable(*candidate);
      if (left == 0) continue;
      if (work) {
        more = true;
        break;
      }
      work = Ref<Work>::share(candidate);
      more = left > 1;
    }
    if (!work) {
      seat.works_seen = works_open_.load(std::memory_order_relaxed);
      return false;
    }
  }
  // Each who wakes wakes the next: a launch pays for one wake-up, not for all.
  if (more) wake_one();
  bool ran = false;
  while (run_chunk(seat, *work)) ran = true;
  return ran;
}

std::uint64_t Scheduler::claimable(const Work& work) noexcept {
  const std::uint64_t claim = work.claim_.load(std::memory_order_acquire);
  const auto phase = static_cast<std::uint32_t>(claim >> 32);
  const auto chunk = static_cast<std::uint32_t>(claim);
  return phase < work.phases && chunk < work.chunks[phase] ? work.chunks[phase] - chunk : 0;
}

bool Scheduler::run_chunk(Seat& seat, Work& work) {
  // Looking first keeps the counter from running into the phase when many ask in vain.
  if (claimable(work) == 0) return false;
  const std::uint64_t claim = work.claim_.fetch_add(1, std::memory_order_acq_rel);
  std::uint32_t phase = static_cast<std::uint32_t>(claim >> 32);
  const auto chunk = static_cast<std::uint32_t>(claim);
  if (phase >= work.phases || chunk >= work.chunks[phase]) return false;
  if (Tracer* tracer = tracer_.load(std::memory_order_relaxed)) [[unlikely]] {
    const std::uint64_t began = tracer->now();
    work.run_chunk(phase, chunk);
    seat.trace_tick.store(0, std::memory_order_relaxed);
    tracer->ran(seat, work, phase, chunk, began);
  } else {
    work.run_chunk(phase, chunk);
  }
  seat.count_more();
  if (work.chunks_left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return true;
  // The last of its phase.
  do ++phase;
  while (phase < work.phases && work.chunks[phase] == 0);
  if (phase == work.phases) {
    close(work);
  } else {
    open(work, phase, false);
    if (work.chunks[phase] > 1) wake_one();
  }
  return true;
}

void Scheduler::close(Work& work) noexcept {
  work.finished();
  {
    const std::lock_guard lock(works_mutex_);
    Work* previous = nullptr;
    for (Work* w = works_first_; w != &work; w = w->next_work_) previous = w;
    (previous ? previous->next_work_ : works_first_) = work.next_work_;
    if (works_last_ == &work) works_last_ = previous;
  }
  work.finish();
  works_in_flight_.fetch_sub(1, std::memory_order_release);
  work.release();
}

// --- sleeping ------------------------------------------------------------------------------------

bool Scheduler::something_to_do(const Seat& seat) const noexcept {
  if (injected_count_.load(std::memory_order_acquire) != 0) return true;
  if (works_in_flight_.load(std::memory_order_acquire) != 0 &&
      works_open_.load(std::memory_order_acquire) != seat.works_seen)
    return true;
  const std::uint32_t count = seat_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Seat* other = seats_[i].load(std::memory_order_acquire);
    if (other->queue.size() != 0 || other->next.load(std::memory_order_acquire)) return true;
  }
  return false;
}

bool Scheduler::much_to_do() const noexcept {
  std::uint64_t ready = injected_count_.load(std::memory_order_relaxed);
  const std::uint32_t count = seat_count_.load(std::memory_order_acquire);
  for (std::uint32_t i = 0; i < count; ++i)
    ready += seats_[i].load(std::memory_order_acquire)->queue.size();
  return ready > 1;
}

/// Looks for something to do for a while. @returns true when there may be something, or `done` is.
bool Scheduler::spin(Seat& seat, bool (*done)(void*), void* context) {
  seat.trace_tick.store(0, std::memory_order_relaxed);
  // Then nobody but the outside makes anything ready, and that needs no looking: see sleep().
  if (threads() == 1 && has_poller_.load(std::memory_order_relaxed)) return false;
  searching_.fetch_add(1, std::memory_order_relaxed);
  // While a kernel runs elsewhere its end, and what waits for it, is near: no time to fall asleep.
  const bool busy = works_in_flight_.load(std::memory_order_relaxed) != 0;
  const std::int64_t until = now_ns() + (busy ? spin_ns_busy : seat.spin_ns);
  bool found = false;
  try {
    for (unsigned round = 1; !found; ++round) {
      for (int i = 0; i < 8; ++i) pause();
      found = something_to_do(seat) || stopping_.load(std::memory_order_relaxed) ||
              seat.dismissed.load(std::memory_order_relaxed) || (done && done(context));
      if (round % 16 == 0 && now_ns() >= until) break;
    }
  } catch (...) {  // of `done`
    searching_.fetch_sub(1, std::memory_order_seq_cst);
    if (sleeping_.any()) wake_one();
    throw;
  }
  const bool last = searching_.fetch_sub(1, std::memory_order_seq_cst) == 1;
  if (!busy)
    seat.spin_ns =
        found ? std::min(seat.spin_ns * 2, spin_ns_max) : std::max(seat.spin_ns / 2, spin_ns_min);
  // Others refrained from waking because this one looked; now it looks no more.
  if (found && last && sleeping_.maybe() && much_to_do()) wake_one();
  return found;
}

bool Scheduler::all_asleep() const noexcept {
  return awake_.load(std::memory_order_acquire) == 0 &&
         pending_outside_.load(std::memory_order_acquire) == 0 &&
         works_in_flight_.load(std::memory_order_acquire) == 0;
}

void Scheduler::sleep(Seat& seat, bool (*done)(void*), void* context, std::string_view what) {
  // First announce, then look once more: whoever makes something ready first queues it and then
  // looks who sleeps, so one of the two sees the other.
  Poller* poller = nullptr;
  {
    const std::lock_guard lock(sleep_mutex_);
    // In a poll: what came there waits for something else.
    if (seat.asleep) wake_locked(seat);
    if (!polled_) poller = seat.polls = poller_;
    polled_ |= poller != nullptr;
    sleepers_.push_back(&seat);
    seat.asleep = true;
    seat.waiting = done != nullptr;
    awake_.fetch_sub(1, std::memory_order_seq_cst);
    sleeping_.announce();
    if (done) waiters_.announce();
  }
  bool stay = false;
  try {
    stay = !stopping_.load() && !seat.dismissed.load() && !(done && done(context)) &&
           !something_to_do(seat);
  } catch (...) {  // of `done`
    get_up(seat, poller != nullptr);
    throw;
  }
  // Looked at again after all were found asleep: the last of them may have queued something before.
  const bool stalled = stay && all_asleep() && !something_to_do(seat);
  // A worker cannot tell anybody; the one who waits can.
  if (stalled && !done && waiters_.maybe()) wake_waiters();
  const bool sleeps = stay && !(stalled && done);
  if (sleeps && !poller) return seat.parker.park();
  if (sleeps) poller->poll();
  if (get_up(seat, poller != nullptr) && stay && !sleeps && !done(context)) report_stall(what);
}

/// Takes back what `sleep` announced. @returns false when somebody woke this thread meanwhile.
bool Scheduler::get_up(Seat& seat, bool polls) noexcept {
  {
    const std::lock_guard lock(sleep_mutex_);
    if (polls) {
      polled_ = false;
      unpolled_.notify_all();
    }
    if (seat.asleep) {
      wake_locked(seat);
      return true;
    }
  }
  if (!polls) seat.parker.park();  // the wake-up is on its way, and must be taken
  return false;
}

void Scheduler::wake_locked(Seat& seat) noexcept {
  sleepers_.erase(std::find(sleepers_.begin(), sleepers_.end(), &seat));
  seat.asleep = false;
  seat.polls = nullptr;
  awake_.fetch_add(1, std::memory_order_relaxed);
  sleeping_.withdraw();
  if (seat.waiting) waiters_.withdraw();
}

/// Lets the lock go. The poller may go away afterwards, so it is told before.
void Scheduler::wake(std::unique_lock<std::mutex>& lock, Seat& seat) noexcept {
  Poller* const poller = seat.polls;
  wake_locked(seat);
  if (poller) poller->interrupt();
  lock.unlock();
  if (!poller) seat.parker.unpark();
}

void Scheduler::wake_one() noexcept {
  if (!sleeping_.any()) return;
  if (searching_.load(std::memory_order_seq_cst) != 0) return;  // that one will look again first
  std::unique_lock lock(sleep_mutex_);
  if (sleepers_.empty()) return;
  // Rather one that does not poll: that one may have the message that this is about in hand.
  Seat* const last = sleepers_.back();
  wake(lock, last->polls && sleepers_.size() > 1 ? *sleepers_.end()[-2] : *last);
}

void Scheduler::wake_all() noexcept {
  for (;;) {
    std::unique_lock lock(sleep_mutex_);
    if (sleepers_.empty()) return;
    wake(lock, *sleepers_.back());
  }
}

void Scheduler::wake_waiters() noexcept {
  for (;;) {
    std::unique_lock lock(sleep_mutex_);
    Seat* seat = nullptr;
    for (Seat* sleeper : sleepers_)
      if (sleeper->waiting) seat = sleeper;
    if (!seat) return;
    wake(lock, *seat);
  }
}

void Scheduler::set_poller(Poller* poller) noexcept {
  std::unique_lock lock(sleep_mutex_);
  Poller* const before = std::exchange(poller_, poller);
  has_poller_.store(poller != nullptr, std::memory_order_relaxed);
  if (polled_) before->interrupt();
  unpolled_.wait(lock, [this] { return !polled_; });
}

void Scheduler::notify_waiters() noexcept {
  if (waiters_.any()) wake_waiters();
}

void Scheduler::pending_outside(int delta) noexcept {
  const std::int64_t before = pending_outside_.fetch_add(delta, std::memory_order_seq_cst);
  if (before + delta == 0 && waiters_.any_after_rmw()) wake_waiters();
}

void Scheduler::report_stall(std::string_view what) {
  std::string text = "nothing can run any more and nothing is pending outside, but " +
                     std::string(what) + " is still awaited";
  text += system_.describe_stall();
  throw Error(ErrorCode::stalled, std::move(text))
      .hint(
          "an answer was lost or never asked for; count what comes from outside with "
          "System::pending_outside");
}

// --- threads -------------------------------------------------------------------------------------

void Scheduler::resize(unsigned threads) {
  const std::lock_guard resizing(resize_mutex_);
  unsigned wanted = policy_ ? 0 : std::max(threads, 1u) - 1;
  wanted = std::min({wanted, executor_.threads_max(), static_cast<unsigned>(seats_max / 2)});
  threads_.store(wanted + 1, std::memory_order_relaxed);
  while (workers_.size() < wanted) {
    Seat* seat = reserve_seat(true);
    workers_.push_back(seat);
    {
      const std::lock_guard lock(workers_mutex_);
      ++worker_count_;
    }
    const auto ended = [this] {
      // Under the lock to the end: the one who waits for it destroys the scheduler.
      const std::lock_guard lock(workers_mutex_);
      --worker_count_;
      worker_ended_.notify_all();
    };
    try {
      executor_.run([this, seat, ended] {
        sit_down(*seat);
        worker_loop(*seat);
        leave_seat(*seat);
        ended();
      });
    } catch (const std::exception& error) {
      workers_.pop_back();
      free_seat(*seat);
      ended();
      threads_.store(static_cast<unsigned>(workers_.size()) + 1, std::memory_order_relaxed);
      system_.log(
          LogLevel::warning,
          "no more threads to be had: " + std::to_string(workers_.size() + 1) + " instead of " +
              std::to_string(wanted + 1) + " run actors and kernels (" + error.what() + ")");
      return;
    }
  }
  if (workers_.size() > wanted) {
    while (workers_.size() > wanted) {
      workers_.back()->dismissed.store(true);
      workers_.pop_back();
    }
    wake_all();
    std::unique_lock lock(workers_mutex_);
    worker_ended_.wait(lock, [&] { return worker_count_ == wanted; });
  }
}

void Scheduler::stop() noexcept {
  stopping_.store(true);
  wake_all();
  {
    std::unique_lock lock(workers_mutex_);
    worker_ended_.wait(lock, [&] { return worker_count_ == 0; });
  }
  workers_.clear();
  threads_.store(1);
  CallerGuard guard(system_);
  Seat& seat = *seat_of_this_thread();
  // Every activation ends its actor now; what that makes ready is ended by the next round.
  for (std::vector<ActorCell*> alive;; alive.clear()) {
    while (policy_ ? run_one_by_policy() : run_something(seat)) {
    }
    pool_.for_each_cell([&](void* block) {
      auto* cell = static_cast<ActorCell*>(block);
      if (cell->system_ == &system_ && !cell->stopped()) alive.push_back(cell);
    });
    if (alive.empty()) return;
    // Ending one may end others that it alone knew: hold them all until each was visited.
    for (ActorCell* cell : alive) cell->add_ref();
    for (ActorCell* cell : alive) {
      // One that got a message meanwhile is queued: the next round runs it.
      if (cell->stopped() || !cell->mailbox_.idle()) continue;
      cell->mailbox_.claim();
      run_actor(seat, *cell);
    }
    for (ActorCell* cell : alive) cell->release();
  }
}

}  // namespace troupe
