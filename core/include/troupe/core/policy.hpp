#pragma once

#include <cstddef>
#include <string_view>

namespace troupe {

/// Picks what runs next when the order is free. A system with a policy runs in one thread, in the
/// calls of its callers: the deterministic simulator is made of this. Without one (null) the native
/// scheduler runs at no cost.
class Policy {
 public:
  virtual ~Policy() = default;

  /// Which of `ready` actors and chunks, in the order in which they became ready, runs next.
  /// @returns an index below `ready`, which is at least 1.
  virtual std::size_t pick(std::size_t ready) noexcept = 0;

  /// Whether something that may run at once or later (a kernel just submitted, an actor just made
  /// ready by its caller) runs at once.
  virtual bool run_now() noexcept = 0;

  /// Messages that one activation of an actor may handle before another is picked; at least 1.
  virtual unsigned turn_messages() noexcept = 0;

  /// Waits in place of `System::wait_until`, for a policy that has this system's turns run from
  /// outside, in their order among those of other systems. What it throws ends the wait.
  /// @returns whether it did wait, until `done(context)`; false: the caller is to run turns itself
  virtual bool wait(bool (*done)(void* context), void* context, std::string_view what) {
    (void)done, (void)context, (void)what;
    return false;
  }
};

}  // namespace troupe
