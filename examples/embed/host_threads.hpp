#pragma once

#include <troupe/core/executor.hpp>

#include <functional>
#include <thread>
#include <utility>
#include <vector>

/// The host's own threads, which it lends to Troupe: named, pinned, counted or pooled as the host
/// likes. Here they are plain ones.
class HostThreads final : public troupe::Executor {
 public:
  explicit HostThreads(unsigned lent) : lent_(lent) {}
  ~HostThreads() override {
    for (std::thread& thread : threads_) thread.join();
  }

  [[nodiscard]] unsigned threads_max() const noexcept override { return lent_; }
  void run(std::function<void()> worker_loop) override {
    threads_.emplace_back(std::move(worker_loop));
  }

 private:
  unsigned lent_;
  std::vector<std::thread> threads_;
};
