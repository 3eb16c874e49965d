#include <troupe/core/clock.hpp>

#include <atomic>
#include <chrono>

namespace troupe {

namespace {

class RealClock final : public Clock {
 public:
  std::int64_t now_ns() const noexcept override {
    return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
  bool runs_by_itself() const noexcept override { return true; }
  void advance_to(std::int64_t) noexcept override {}
};

class SimulatedClock final : public Clock {
 public:
  std::int64_t now_ns() const noexcept override { return now_ns_.load(std::memory_order_relaxed); }
  bool runs_by_itself() const noexcept override { return false; }
  void advance_to(std::int64_t now_ns) noexcept override {
    if (now_ns > now_ns_.load(std::memory_order_relaxed))
      now_ns_.store(now_ns, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> now_ns_{0};
};

}  // namespace

std::unique_ptr<Clock> make_real_clock() { return std::make_unique<RealClock>(); }

std::unique_ptr<Clock> make_simulated_clock() { return std::make_unique<SimulatedClock>(); }

}  // namespace troupe
