#include "queue.hpp"

#include "queue_actor.hpp"

#include <new>
#include <utility>

namespace troupe::vulkan {

Ref<Fence> Fence::make(System& system, std::function<void()> then) {
  return Ref<Fence>::adopt(new (system.allocate(sizeof(Fence))) Fence(system, std::move(then)));
}

void Fence::end(bool lost) noexcept {
  bool failed = lost;
  if (then_ && !lost) try {
      then_();
    } catch (...) {  // another device is lost, or full
      failed = true;
    }
  then_ = nullptr;  // what it holds goes before those who wait are told
  finish(failed);
}

void Fence::destroy() noexcept {
  System& system = *system_;
  this->~Fence();
  system.deallocate(this, sizeof(Fence));
}

Queue::Queue(Bare, System& system, std::shared_ptr<Context> context) noexcept
    : system_(system), context_(std::move(context)) {}

Queue::Queue(System& system, std::shared_ptr<Context> context)
    : Queue(Bare{}, system, std::move(context)) {
  VkSemaphoreTypeCreateInfo type{};
  type.sType = VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO;
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO;
  create.pNext = &type;
  check(
      context_->vk.vkCreateSemaphore(context_->handle, &create, nullptr, &timeline_),
      "making a timeline");
  actor_ = system.spawn_named<QueueActor>(context_->info.name + " queue", *this);
  waiter_ = std::thread([this] { wait_for_batches(); });
}

Queue::~Queue() {
  stop();
  context_->vk.vkDestroySemaphore(context_->handle, timeline_, nullptr);
}

void Queue::stop() noexcept {
  {
    const std::lock_guard lock(lock_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (waiter_.joinable()) waiter_.join();
}

std::uint64_t Queue::send(const Dispatch& dispatch) {
  check_alive();
  sent_.fetch_add(1, std::memory_order_acq_rel);
  actor_.send(Dispatch(dispatch));
  // Counted again once it is in the queue: what others counted meanwhile may stand before it.
  return sent();
}

std::uint64_t Queue::send(Replay replay) {
  check_alive();
  sent_.fetch_add(1, std::memory_order_acq_rel);
  actor_.send(std::move(replay));
  return sent();
}

void Queue::set_memory(Memory& memory, Memory& staging) {
  constexpr std::uint64_t tables_bytes = 64 << 10;
  memory_ = &memory;
  staging_ = &staging;
  tables_ = memory.allocate(tables_bytes);
}

std::uint64_t Queue::send(Transfer transfer) {
  check_alive();
  sent_.fetch_add(1, std::memory_order_acq_rel);
  actor_.send(std::move(transfer));
  return sent();
}

std::uint64_t Queue::send(const Timestamp& timestamp) {
  check_alive();
  sent_.fetch_add(1, std::memory_order_acq_rel);
  actor_.send(Timestamp(timestamp));
  return sent();
}

void Queue::wait(std::uint64_t count) {
  check_alive();
  if (done() >= count) return;
  counts.host_waits.fetch_add(1, std::memory_order_relaxed);
  // What is not submitted yet goes now, whatever else the device has to do.
  if (submitted_.load(std::memory_order_acquire) < count) (void)fence();
  system_.wait_until(
      [&] { return done() >= count || lost_.load(std::memory_order_acquire); },
      "what " + context_->info.name + " computes");
  check_alive();
}

Ref<Fence> Queue::fence(std::function<void()> then) {
  check_alive();
  Ref<Fence> fence = Fence::make(system_, std::move(then));
  sent_.fetch_add(1, std::memory_order_acq_rel);
  actor_.send(FenceRequest{fence});
  return fence;
}

std::uint64_t Queue::settle() {
  std::unique_lock lock(lock_);
  changed_.wait(lock, [&] { return under_way_.empty(); });
  return done();
}

void Queue::check_alive() const {
  if (!lost_.load(std::memory_order_acquire)) return;
  const std::lock_guard lock(lock_);
  throw Error(why_lost_);
}

void Queue::lose(Error error) noexcept {
  {
    const std::lock_guard lock(lock_);
    if (lost_.load(std::memory_order_relaxed)) return;
    why_lost_ = std::move(error);
    lost_.store(true, std::memory_order_release);
  }
  system_.notify_waiters();
}

void Queue::submitted(Submitted&& submitted) {
  system_.pending_outside(1);
  submitted_.store(submitted.count, std::memory_order_release);
  {
    const std::lock_guard lock(lock_);
    under_way_.push_back(std::move(submitted));
  }
  changed_.notify_all();
}

void Queue::finish(Submitted& submitted) noexcept {
  for (const Allocation& allocation : submitted.staging) staging_->free(allocation);
  done_.store(submitted.count, std::memory_order_release);
  const bool lost = lost_.load(std::memory_order_acquire);
  for (const Ref<Fence>& fence : submitted.fences) fence->end(lost);
  system_.notify_waiters();
}

void Queue::drop(Submitted& submitted) noexcept {
  for (const Allocation& allocation : submitted.staging) staging_->free(allocation);
  for (const Ref<Fence>& fence : submitted.fences) fence->end(true);
}

void Queue::wait_for_batches() noexcept {
  std::unique_lock lock(lock_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !under_way_.empty(); });
    if (under_way_.empty()) return;
    const std::uint64_t batch = under_way_.front().batch;
    lock.unlock();
    VkSemaphoreWaitInfo wait{};
    wait.sType = VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO;
    wait.semaphoreCount = 1;
    wait.pSemaphores = &timeline_;
    wait.pValues = &batch;
    const VkResult result =
        context_->vk.vkWaitSemaphores(context_->handle, &wait, ~std::uint64_t{0});
    if (result < 0) lose(error_of(result, "waiting for " + context_->info.name));
    lock.lock();
    Submitted through = std::move(under_way_.front());
    under_way_.pop_front();
    lock.unlock();
    finish(through);
    actor_.send(BatchDone{batch});
    system_.pending_outside(-1);
    lock.lock();
    changed_.notify_all();
  }
}

}  // namespace troupe::vulkan
