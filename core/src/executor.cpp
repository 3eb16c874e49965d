#include <troupe/core/executor.hpp>

#include <atomic>
#include <list>
#include <mutex>
#include <thread>
#include <utility>

namespace troupe {

namespace {

class ThreadExecutor final : public Executor {
 public:
  ~ThreadExecutor() override {
    for (Lent& lent : lent_) lent.thread.join();
  }

  unsigned threads_max() const noexcept override { return ~0u; }

  void run(std::function<void()> worker_loop) override {
    const std::lock_guard lock(mutex_);
    // Those that came back are joined now, or resizing for hours would pile them up.
    for (auto lent = lent_.begin(); lent != lent_.end();) {
      if (lent->over.load(std::memory_order_acquire)) {
        lent->thread.join();
        lent = lent_.erase(lent);
      } else {
        ++lent;
      }
    }
    Lent& lent = lent_.emplace_back();
    try {
      lent.thread = std::thread([&lent, loop = std::move(worker_loop)] {
        loop();
        lent.over.store(true, std::memory_order_release);
      });
    } catch (...) {
      lent_.pop_back();  // there is no thread to join
      throw;
    }
  }

 private:
  struct Lent {
    std::thread thread;
    std::atomic<bool> over{false};
  };
  std::mutex mutex_;
  std::list<Lent> lent_;
};

class CallerExecutor final : public Executor {
 public:
  unsigned threads_max() const noexcept override { return 0; }
  void run(std::function<void()>) override {}
};

}  // namespace

std::unique_ptr<Executor> make_thread_executor() { return std::make_unique<ThreadExecutor>(); }

std::unique_ptr<Executor> make_caller_executor() { return std::make_unique<CallerExecutor>(); }

}  // namespace troupe
