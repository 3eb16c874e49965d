#include <troupe/core/completion.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/system.hpp>

#include <new>

namespace troupe {

struct Completion::Waiter {
  Address<Completed> to;
  std::uint64_t token;
  Waiter* next;
};

void Completion::notify(Address<Completed> to, std::uint64_t token) {
  Waiter* top = waiters_.load(std::memory_order_acquire);
  if (top != closed()) {
    auto* waiter = new (system_->allocate(sizeof(Waiter))) Waiter{std::move(to), token, top};
    do {
      waiter->next = top;
      if (waiters_.compare_exchange_weak(
              top, waiter, std::memory_order_release, std::memory_order_acquire))
        return;
    } while (top != closed());
    to = std::move(waiter->to);
    waiter->~Waiter();
    system_->deallocate(waiter, sizeof(Waiter));
  }
  to.send(Completed{token, failed_, reason_});
}

void Completion::finish(bool failed, std::shared_ptr<const Error> reason) noexcept {
  failed_ = failed;
  reason_ = reason;
  Waiter* newest = waiters_.exchange(closed(), std::memory_order_seq_cst);
  // In the order in which they asked.
  Waiter* oldest = nullptr;
  while (newest) {
    Waiter* older = newest->next;
    newest->next = oldest;
    oldest = newest;
    newest = older;
  }
  System& system = *system_;
  while (oldest) {
    Waiter* waiter = oldest;
    oldest = waiter->next;
    waiter->to.send(Completed{waiter->token, failed, reason});
    waiter->~Waiter();
    system.deallocate(waiter, sizeof(Waiter));
  }
  // Somebody may wait for this very completion without a message.
  Scheduler& scheduler = system.scheduler();
  if (scheduler.waiters_.any_after_rmw()) scheduler.wake_waiters();
}

}  // namespace troupe
