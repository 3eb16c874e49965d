#pragma once

#include <troupe/core/system.hpp>
#include <troupe/tensor/tensor.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>

namespace troupe {

/// What the graphs of one system share: the numbering of backward passes, the bound on work that
/// was asked for and has not run, and the NaN trap.
class Engine final : public Service {
 public:
  /// The system's engine, attached at the first call.
  static Engine& of(System& system);

  [[nodiscard]] std::uint64_t next_pass() noexcept { return passes_.fetch_add(1) + 1; }

  /// Bytes of outputs that define-by-run calls may have outstanding; a caller past it helps to run.
  static constexpr std::int64_t pending_bytes_max = std::int64_t{512} << 20;
  void add_pending(std::int64_t bytes) noexcept {
    pending_.fetch_add(bytes, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t pending_bytes() const noexcept {
    return pending_.load(std::memory_order_relaxed);
  }

  /// While on, a node whose op makes a NaN out of inputs without one fails with `nan_found`.
  std::atomic<bool> trap_nan{false};
  std::atomic<std::int64_t> step{-1};  ///< named in errors; set by the trainer

  /// Held by a walk over records: their marks serve one at a time.
  std::mutex walk;

 private:
  std::atomic<std::uint64_t> passes_{0};
  std::atomic<std::int64_t> pending_{0};
};

}  // namespace troupe
