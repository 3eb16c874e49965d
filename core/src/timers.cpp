#include "timers.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/core/system.hpp>

#include <algorithm>
#include <chrono>
#include <limits>
#include <utility>

namespace troupe {

std::uint64_t Timers::set(std::int64_t delay_ns, Ref<ActorCell> to, Message& message) {
  std::unique_lock lock(mutex_);
  if (stopped_) {
    lock.unlock();
    system_.drop(message);
    return 0;
  }
  const std::uint64_t number = ++numbers_;
  const std::int64_t now_ns = system_.clock().now_ns();
  // A delay past the end of time is due at the end of time.
  const std::int64_t due_ns =
      now_ns + std::clamp<std::int64_t>(
                   delay_ns, 0, std::numeric_limits<std::int64_t>::max() - std::max(now_ns, {}));
  heap_.push_back({due_ns, number, std::move(to), &message});
  std::push_heap(heap_.begin(), heap_.end(), Later{});
  if (system_.clock().runs_by_itself()) {
    system_.pending_outside(1);
    if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    if (heap_.front().number == number) changed_.notify_one();
  }
  return number;
}

bool Timers::cancel(std::uint64_t number) noexcept {
  Timer cancelled{};
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(
        heap_.begin(), heap_.end(), [&](const Timer& t) { return t.number == number; });
    if (found == heap_.end()) return false;
    cancelled = std::move(*found);
    *found = std::move(heap_.back());
    heap_.pop_back();
    std::make_heap(heap_.begin(), heap_.end(), Later{});
  }
  system_.drop(*cancelled.message);
  if (system_.clock().runs_by_itself()) system_.pending_outside(-1);
  return true;
}

Timers::Timer Timers::pop() {
  std::pop_heap(heap_.begin(), heap_.end(), Later{});
  Timer timer = std::move(heap_.back());
  heap_.pop_back();
  return timer;
}

void Timers::run() {
  std::unique_lock lock(mutex_);
  while (!stopped_) {
    if (heap_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const std::int64_t left_ns = heap_.front().due_ns - system_.clock().now_ns();
    if (left_ns > 0) {
      // The first may change meanwhile, so everything is looked at again afterwards. Not for ever:
      // the end of time is too far for the library's own clock.
      changed_.wait_for(
          lock,
          std::min<std::chrono::nanoseconds>(
              std::chrono::nanoseconds(left_ns), std::chrono::hours(24)));
      continue;
    }
    Timer timer = pop();
    lock.unlock();
    timer.to->deliver(*timer.message);
    timer.to.reset();
    system_.pending_outside(-1);
    lock.lock();
  }
}

bool Timers::advance_clock() {
  Clock& clock = system_.clock();
  if (clock.runs_by_itself()) return false;
  std::unique_lock lock(mutex_);
  if (heap_.empty()) return false;
  const std::int64_t due_ns = heap_.front().due_ns;
  clock.advance_to(due_ns);
  while (!heap_.empty() && heap_.front().due_ns <= due_ns) {
    const Timer timer = pop();
    lock.unlock();
    timer.to->deliver(*timer.message);
    lock.lock();
  }
  return true;
}

std::int64_t Timers::next_ns() noexcept {
  const std::lock_guard lock(mutex_);
  return heap_.empty() ? std::numeric_limits<std::int64_t>::max() : heap_.front().due_ns;
}

void Timers::stop() noexcept {
  std::vector<Timer> left;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    left = std::exchange(heap_, {});
    changed_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  for (const Timer& timer : left) {
    system_.drop(*timer.message);
    if (system_.clock().runs_by_itself()) system_.pending_outside(-1);
  }
}

}  // namespace troupe
