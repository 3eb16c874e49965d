#pragma once

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/ref.hpp>

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace troupe {

class System;

/// Messages to be sent at a time. With a clock that runs by itself one thread sleeps until the next
/// is due; with the simulated clock whoever finds nothing else to do moves the clock on.
///
/// Threads   any.
/// Order     by time, then by the order of setting.
class Timers {
 public:
  explicit Timers(System& system) : system_(system) {}
  ~Timers() { stop(); }

  std::uint64_t set(std::int64_t delay_ns, Ref<ActorCell> to, Message& message);
  bool cancel(std::uint64_t number) noexcept;
  /// Moves a simulated clock to the next timer and sends what is due; false when none is set or the
  /// clock runs by itself.
  bool advance_clock();
  /// When the next is due; the largest number if none is set.
  std::int64_t next_ns() noexcept;
  /// Ends the thread and drops what is not due; later timers are dropped at once.
  void stop() noexcept;

 private:
  struct Timer {
    std::int64_t due_ns;
    std::uint64_t number;
    Ref<ActorCell> to;
    Message* message;
  };
  struct Later {
    bool operator()(const Timer& a, const Timer& b) const noexcept {
      return a.due_ns != b.due_ns ? a.due_ns > b.due_ns : a.number > b.number;
    }
  };

  void run();
  Timer pop();

  System& system_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Timer> heap_;  // the next one due first
  std::uint64_t numbers_ = 0;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace troupe
