#pragma once

#include <troupe/core/sim.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace troupe::sim {

/// One life of a process of a simulated cluster: a system of its own, a clock that agrees with
/// nobody's, and a main function that may wait like any other.
///
/// Threads   main runs on a thread of its own, but only while nothing else of the cluster runs; the
///           system's turns run on the one that drives the cluster, while main waits. A kill ends
///           main by an exception out of whatever it waits for: main must let it through, as the
///           destructors on its way must not wait.
class Process {
 public:
  /// Its system ends after it.
  using Main = std::function<void(Process& self)>;

  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] const std::string& name() const noexcept;
  /// Lives of processes of this name so far, this one counted.
  [[nodiscard]] std::uint64_t life() const noexcept;
  /// While it is alive.
  [[nodiscard]] System& system() noexcept;
  /// Its main function, and what follows it, goes on.
  [[nodiscard]] bool alive() const noexcept;
  [[nodiscard]] bool stopped() const noexcept;
  [[nodiscard]] bool killed() const noexcept;
  /// What main threw; nothing of one that was killed.
  [[nodiscard]] const std::optional<Error>& error() const noexcept;

  /// On its own thread, as `System::wait_until` there: waits, but no longer than so, and throws
  /// nothing at a kill, for destructors' sake. @returns whether it is done
  bool wait_for(const std::function<bool()>& done, std::int64_t timeout_ns, std::string_view what);
  /// The same, for work that takes its time.
  void sleep(std::int64_t duration_ns);

 private:
  friend class Cluster;
  struct State;
  explicit Process(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Processes that start, rest, stop, are killed and start again, and what happens between them, in
/// virtual time and all from one seed: the same seed gives the same run, to the bit.
///
/// Time      stands still while any process has something to do, then jumps to what is due next.
///           Now and then a process rests between two turns, as if another had its core.
/// Order     of what happens at the same time: the seed's.
/// Disk      one in memory for each name, which outlives its processes.
/// Threads   one drives it; several clusters may run side by side.
class Cluster {
 public:
  using Log = std::function<void(const Process& of, LogLevel level, std::string_view line)>;

  explicit Cluster(std::uint64_t seed, Log log = {});
  /// Kills whoever is alive.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  /// Begins a process; there must be none of that name alive.
  std::shared_ptr<Process> start(const std::string& name, Process::Main main);
  /// As by SIGKILL: nothing of it runs any more, and nothing is told to it. Not by itself.
  void kill(Process& process);
  /// As by SIGSTOP: it does nothing until it is to go on; what it is told meanwhile waits for it.
  void stop(Process& process);
  /// As if a turn of it never ended: nothing of it runs, but it is told, and its network answers.
  void hang(Process& process);
  void go_on(Process& process);
  /// The last one of this name, alive or not; null: there was none.
  [[nodiscard]] std::shared_ptr<Process> find(const std::string& name) const;
  [[nodiscard]] MemoryDisk& disk(const std::string& name);

  /// On the cluster's own time.
  [[nodiscard]] std::int64_t now_ns() const noexcept;
  /// What a process's clock shows at this time.
  [[nodiscard]] std::int64_t clock_ns(const Process& process, std::int64_t at_ns) const noexcept;
  /// The next random number.
  std::uint64_t draw() noexcept;
  bool chance(double probability) noexcept;
  /// Has something happen at this time, or now if that is past; outside of all processes.
  void at(std::int64_t due_ns, std::function<void()> event);
  /// Now, and as from outside, to be called from an event: at once; when it goes on, if it is
  /// stopped; never, if it is dead.
  void tell(Process& process, std::function<void()> news);

  /// Goes on until it is so, or so late. Throws `stalled` after `steps_max` steps: something goes
  /// on for ever while time stands still.
  /// @returns whether it is so
  bool run_until(
      const std::function<bool()>& done,
      std::int64_t until_ns,
      std::uint64_t steps_max = 100'000'000);

  [[nodiscard]] std::uint64_t seed() const noexcept;
  /// Stands for all that happened so far, and in which order: to compare replays by.
  [[nodiscard]] std::uint64_t history() const noexcept;
  /// Adds to it what somebody else knows of.
  void note(std::uint64_t value) noexcept;
  /// A line for each process: what it does, and what it waits for.
  [[nodiscard]] std::string describe() const;

 private:
  friend class Process;
  struct State;
  bool step(std::int64_t until_ns);
  void run_turn(Process& process);
  void resume(Process& process);
  [[nodiscard]] std::int64_t timer_ns(const Process& process) const noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace troupe::sim
