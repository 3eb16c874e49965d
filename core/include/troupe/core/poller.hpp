#pragma once

namespace troupe {

/// What comes from outside, as far as a thread can wait for it: a thread of the system that has
/// nothing to do waits there instead of sleeping, and deals with what came. What that makes ready
/// runs next on the same thread, so that a message wakes one thread on its way, and not two.
///
/// Threads   poll() by one of the system's at a time; interrupt() by any.
/// Left alone while the system's threads are busy: somebody else must deal with what comes then.
class Poller {
 public:
  virtual ~Poller() = default;
  /// Waits until something came, and deals with it; or for `interrupt()`.
  virtual void poll() noexcept = 0;
  /// Ends the `poll` under way, or else the next one. Calls nothing of the system.
  virtual void interrupt() noexcept = 0;
};

}  // namespace troupe
