#include "control.hpp"
#include "seat.hpp"

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/system.hpp>

#include <cstring>
#include <utility>

namespace troupe {

// An actor ends in one of two ways. It *stops*: in its own turn the body is destroyed, monitors and
// links are told, and what is left in the mailbox is dropped; the cell stays for those who still
// hold an address. Or nobody can reach it any more: then body and cell go together. The second may
// come to thousands at once, each the only one who knew the next, so these are ended in a loop.

std::string_view ActorCell::name() const noexcept {
  const detail::ActorExtra* extra = extra_.load(std::memory_order_acquire);
  return extra && !extra->name.empty() ? std::string_view(extra->name) : class_->name;
}

void* ActorCell::allocate(std::size_t bytes) { return system_->allocate(bytes); }

void ActorCell::discard(Message& message) noexcept {
  system_->scheduler().destroy_message(message);
}

void ActorCell::last_address_gone(References::Dropped dropped) noexcept {
  if (!system_) return;  // it outlived its system, which said so; see Pool::keep_memory
  Scheduler& scheduler = system_->scheduler();
  if (dropped == References::Dropped::last) return scheduler.end_unreachable(*this);
  deliver(*make_message(Unreachable{}));
  if (dropped == References::Dropped::taken) scheduler.schedule(*this);
}

void Scheduler::end_unreachable(ActorCell& cell) noexcept {
  // By its name each time: GCC 12 under UBSan takes a reference to a thread-local variable for
  // null.
  if (thread_context.ending) {
    cell.next_ = thread_context.to_end;
    thread_context.to_end = &cell;
    return;
  }
  thread_context.ending = true;
  end_one_unreachable(cell);
  while (ActorCell* next = thread_context.to_end) {
    thread_context.to_end = std::exchange(next->next_, nullptr);
    Scheduler& scheduler = next->system_->scheduler();
    scheduler.end_one_unreachable(*next);
    if (&scheduler != this) scheduler.notify_waiters();
  }
  thread_context.ending = false;
  // Somebody may wait for this very end; inside a turn the turn's end tells them.
  if (waiters_.any_after_rmw() && !running()) wake_waiters();
}

void Scheduler::end_one_unreachable(ActorCell& cell) noexcept {
  cell.references_.begin_end();
  if (!cell.stopped()) end_actor(cell);
  // The body's destructor may have sent to itself; such messages may hold addresses of itself.
  drop_messages(cell);
  if (cell.references_.finish_end() && !cell.mailbox_.has_messages()) return free_cell(cell);
  // Its last words, `Down` or its destructor's, carry its address: the cell stays until they are
  // read. What is sent to it is dropped, but for questions of what became of it.
  if (!cell.mailbox_.go_idle()) schedule(cell);
  cell.release();
}

void Scheduler::free_cell(ActorCell& cell) noexcept {
  if (detail::ActorExtra* extra = cell.extra_.load(std::memory_order_relaxed)) {
    if (!extra->name.empty()) system_.forget_name(cell);
    delete extra;
  }
  const std::uint32_t bytes = cell.class_->size;
  void* const block = &cell;
  void* const system_at = &cell.system_;
  cell.~ActorCell();
  // So that nobody who goes through the pool takes the block for an actor. After the destructor:
  // what is written to an object before it, compilers may leave out.
  std::memset(system_at, 0, sizeof(System*));
  system_.deallocate_cell(block, bytes);
}

void Scheduler::end_actor(ActorCell& cell) noexcept {
  cell.flags_.fetch_or(ActorCell::stopped_flag, std::memory_order_release);
  cell.class_->destroy_body(cell);
  count_actor(-1);
  detail::ActorExtra* extra = cell.extra_.load(std::memory_order_relaxed);
  if (!extra) return;
  for (const Address<Down>& watcher : std::exchange(extra->monitors, {}))
    watcher.send(ControlAccess::down(cell));
  for (const Ref<ActorCell>& other : std::exchange(extra->links, {})) {
    if (extra->reason) {
      ControlAccess::send(*other, LinkDown{Ref<ActorCell>::share(&cell), *extra->reason});
    } else {
      ControlAccess::send(*other, Link{Ref<ActorCell>::share(&cell), false});
    }
  }
}

void Scheduler::fail_actor(ActorCell& cell) noexcept {
  Error error;
  try {
    throw;
  } catch (const Error& thrown) {
    error = thrown;
  } catch (const std::exception& thrown) {
    error = Error(ErrorCode::actor_down, thrown.what());
  } catch (...) {
    error = Error(ErrorCode::actor_down, "an exception of unknown type");
  }
  if (error.actor().empty()) error.actor(cell.name());
  system_.log(LogLevel::warning, error.what());
  ControlAccess::stop(cell, std::move(error));
}

void Scheduler::drop_messages(ActorCell& cell) noexcept {
  while (Message* message = cell.mailbox_.pop()) {
    // One who got the address just now may ask what became of the actor.
    if (message->type().control) message->type().control(cell, *message);
    destroy_message(*message);
  }
}

void Scheduler::count_actor(int by) noexcept {
  if (Seat* seat = seat_of_this_thread()) {
    // Only this thread writes it.
    seat->actors.store(
        seat->actors.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  } else {
    guest_actors_.fetch_add(by, std::memory_order_relaxed);
  }
}

}  // namespace troupe
