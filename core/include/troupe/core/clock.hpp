#pragma once

#include <cstdint>
#include <memory>

namespace troupe {

/// Tells the time. One of the six interfaces between Troupe and the outside world; the simulated
/// one stands still until nothing can run any more, then jumps to the next timer.
///
/// Threads   any.
class Clock {
 public:
  virtual ~Clock() = default;

  /// Nanoseconds since some moment in the past; never goes back.
  [[nodiscard]] virtual std::int64_t now_ns() const noexcept = 0;

  /// A clock that does not run by itself is moved on by `advance_to`, when the system has nothing
  /// left to do and a timer is set.
  [[nodiscard]] virtual bool runs_by_itself() const noexcept = 0;
  virtual void advance_to(std::int64_t now_ns) noexcept = 0;
};

/// The operating system's monotonic clock.
std::unique_ptr<Clock> make_real_clock();

/// Begins at 0 and moves only when told to.
std::unique_ptr<Clock> make_simulated_clock();

}  // namespace troupe
