#pragma once

#include <functional>
#include <memory>

namespace troupe {

/// Lends threads to a system. One of the six interfaces between Troupe and the outside world: the
/// real one makes threads, a host program may give threads of its own, the simulated one has none.
///
/// Threads   run() from any.
class Executor {
 public:
  virtual ~Executor() = default;

  /// The most loops that may run at one time; with 0, everything runs in the callers of the system.
  [[nodiscard]] virtual unsigned threads_max() const noexcept = 0;

  /// Runs `worker_loop` on a thread of its own and returns at once. The loop returns when the
  /// system stops or needs fewer threads; the system waits for that before it is gone. Throws when
  /// there is no thread to be had; the system then does with those it has.
  virtual void run(std::function<void()> worker_loop) = 0;
};

/// Makes a thread for each loop and joins it when the loop is over, at the latest in the
/// destructor.
std::unique_ptr<Executor> make_thread_executor();

/// Has no thread to lend: everything runs in the calls of the system's callers.
std::unique_ptr<Executor> make_caller_executor();

}  // namespace troupe
