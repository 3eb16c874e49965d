#pragma once

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/tensor.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace troupe {

/// A function called with a tensor's summed gradient; a defined result takes the gradient's place.
using GradientHook = std::function<Tensor(const Tensor& gradient)>;

/// What the graphs of one system share: the numbering of backward passes, the bound on work that
/// was asked for and has not run, the NaN trap, and what is to happen to the gradients of single
/// tensors.
class Engine final : public Service {
 public:
  /// The system's engine, attached at the first call.
  static Engine& of(System& system);

  [[nodiscard]] std::uint64_t next_pass() noexcept { return passes_.fetch_add(1) + 1; }

  /// A number for a parameter's value that no other has; above 1.
  [[nodiscard]] std::uint64_t next_version() noexcept { return versions_.fetch_add(1) + 2; }

  /// Bytes of outputs that define-by-run calls may have outstanding; a caller past it helps to run.
  static constexpr std::int64_t pending_bytes_max = std::int64_t{512} << 20;
  void add_pending(std::int64_t bytes) noexcept {
    pending_.fetch_add(bytes, std::memory_order_relaxed);
  }
  [[nodiscard]] std::int64_t pending_bytes() const noexcept {
    return pending_.load(std::memory_order_relaxed);
  }

  /// While on, the first op that makes a NaN, in the order of the calls, ends its step with
  /// `nan_found`: a call that people make waits for its result and throws, a backward pass, an
  /// update and a program fail.
  std::atomic<bool> trap_nan{false};
  std::atomic<std::int64_t> step{-1};  ///< named in errors; set by the trainer

  /// Held by a walk over records: their marks serve one at a time.
  std::mutex walk;

  // --- what is to happen to the gradient that an actor, a node or parameter, sums -------------
  //
  // The actor has its hooks itself and calls them in its turns. A backward pass that runs on the
  // caller's thread cannot look into it, and finds them here. Any thread.

  using Hooks = std::vector<std::pair<std::uint32_t, std::shared_ptr<const GradientHook>>>;
  void add_hook(
      const ActorCell& of, std::uint32_t output, std::shared_ptr<const GradientHook> hook);
  /// In the order of adding, each with the output it is for.
  [[nodiscard]] Hooks hooks(const ActorCell& of);
  /// Who keeps the sum of an output's gradients; null until `keep_gradient`.
  [[nodiscard]] Ref<ActorCell> gradient_keeper(const ActorCell& of, std::uint32_t output);
  void keep_gradient(const ActorCell& of, std::uint32_t output, Ref<ActorCell> keeper);
  /// The actor ends.
  void forget(const ActorCell& of) noexcept;
  /// Whether there is anything to ask for above.
  [[nodiscard]] bool watches_gradients() const noexcept {
    return watched_count_.load(std::memory_order_acquire) != 0;
  }

 private:
  struct Watched {
    Hooks hooks;
    std::vector<std::pair<std::uint32_t, Ref<ActorCell>>> keepers;
  };

  std::atomic<std::uint64_t> passes_{0};
  std::atomic<std::uint64_t> versions_{0};
  std::atomic<std::int64_t> pending_{0};
  std::mutex watching_;
  std::unordered_map<const ActorCell*, Watched> watched_;
  std::atomic<std::size_t> watched_count_{0};
};

/// Whether the system's engine, if it has one, traps NaNs.
[[nodiscard]] bool traps_nan(const System& system) noexcept;

/// The exception that is being handled, as the one `Error`; to be called in a catch block.
[[nodiscard]] Error current_error();

}  // namespace troupe
