#pragma once

#include <troupe/core/clock.hpp>
#include <troupe/core/executor.hpp>
#include <troupe/core/policy.hpp>
#include <troupe/core/random.hpp>
#include <troupe/core/sim_disk.hpp>
#include <troupe/core/system.hpp>

#include <cstdint>
#include <memory>

namespace troupe::sim {

/// Picks at random, from a seed. A seed also draws a habit (fair, newest first, oldest first, or
/// neglecting one for as long as there are others), for most races show only under one of these.
class SeededPolicy final : public Policy {
 public:
  explicit SeededPolicy(std::uint64_t seed) noexcept;

  std::size_t pick(std::size_t ready) noexcept override;
  bool run_now() noexcept override;
  unsigned turn_messages() noexcept override;

  [[nodiscard]] std::uint64_t picks() const noexcept { return picks_; }

 private:
  std::uint64_t draw() noexcept;

  std::uint64_t state_;
  std::uint64_t picks_ = 0;
  unsigned habit_;
};

/// A whole system in one thread, run from one seed: the same seed gives the same schedule, times,
/// random numbers and faults, so a failing seed repeats its failure.
///
/// Time      stands still while anything is ready, then jumps to the next timer.
/// Disk      in memory; see `MemoryDisk`.
class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();

  [[nodiscard]] System& system() noexcept { return *system_; }
  [[nodiscard]] Clock& clock() noexcept { return *clock_; }
  [[nodiscard]] MemoryDisk& disk() noexcept { return disk_; }
  [[nodiscard]] std::uint64_t seed() const noexcept { return seed_; }
  /// Activations and chunks run so far: a count to compare replays by.
  [[nodiscard]] std::uint64_t steps() const noexcept { return policy_.picks(); }

  /// Runs until nothing is ready and no timer is set. Throws `stalled` after `steps_max` steps: a
  /// system that goes on for ever does not become idle.
  void run_until_idle(std::uint64_t steps_max = 10'000'000);
  /// The same, but leaves timers that are due later than that.
  void run_for(std::int64_t duration_ns, std::uint64_t steps_max = 10'000'000);

 private:
  friend class Cluster;
  static bool advance_clock(System& system) { return system.advance_clock(); }
  [[nodiscard]] static std::int64_t next_timer_ns(const System& system) noexcept {
    return system.next_timer_ns();
  }

  std::uint64_t seed_;
  SeededPolicy policy_;
  std::unique_ptr<Clock> clock_;
  std::unique_ptr<Random> random_;
  std::unique_ptr<Executor> executor_;
  MemoryDisk disk_;
  std::unique_ptr<System> system_;
};

}  // namespace troupe::sim
