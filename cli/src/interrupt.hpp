#pragma once

#include <string_view>

namespace troupe::cli {

/// Catches Ctrl-C (and SIGTERM) while it lives: the first is noted, for the training loop to stop
/// after its step; the second ends the process at once. Says so on standard error, but when quiet
/// only what the second one says. The one place that owns a signal handler.
class Interrupt {
 public:
  static constexpr int exit_code = 130;  // as shells have it for Ctrl-C

  /// @param first, second  what is said at each; must outlive this
  Interrupt(bool quiet, std::string_view first, std::string_view second);
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  [[nodiscard]] static bool requested() noexcept;
};

}  // namespace troupe::cli
