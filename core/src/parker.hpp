#pragma once

#include <condition_variable>
#include <mutex>

namespace troupe {

/// Where one thread sleeps until another wakes it. A wake-up that comes first is kept.
class Parker {
 public:
  void park() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return woken_; });
    woken_ = false;
  }
  void unpark() noexcept {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

}  // namespace troupe
