#pragma once

#include <cstdint>
#include <string>

/// Whole fleets in virtual time: a leader, its followers and a run folder, under faults of all
/// kinds and then under none.
namespace troupe::testing {

/// What happened in a fleet, to be added up: a simulation in which nothing happens proves nothing.
struct FleetCounters {
  std::uint64_t views = 0;
  std::uint64_t steps = 0;      ///< done by leaders, those done again counted
  std::uint64_t leaders = 0;    ///< lives
  std::uint64_t followers = 0;  ///< lives
  std::uint64_t kills = 0;
  std::uint64_t stops = 0;
  std::uint64_t hangs = 0;
  std::uint64_t partitions = 0;
  std::uint64_t cuts = 0;          ///< of connections
  std::uint64_t fenced = 0;        ///< leaders that ended because another leads
  std::uint64_t minorities = 0;    ///< leaders that ended because too few were left
  std::uint64_t orphans = 0;       ///< runs that followers kept to the end
  std::uint64_t later_states = 0;  ///< leaders that went on from a follower's state
  std::uint64_t downs = 0;         ///< monitors that fired
  double virtual_s = 0;
  std::uint64_t history = 0;  ///< of the last one; not added up

  FleetCounters& operator+=(const FleetCounters& other) noexcept;
  [[nodiscard]] std::string text() const;
};

/// Runs a fleet whose size, work and faults the seed draws. First safety, under faults: each step
/// that any process does has the bits of the undisturbed run; nobody leads an earlier leader's
/// followers, or with less than half of its last view; no step is lost that a follower holds; the
/// folder is written by one leader of each term, and by none after a later one; a monitor fires
/// once. Then liveness: faults end, all are started that should run, and in three virtual minutes
/// the run is done, and every process ends that should.
///
/// Errors  throws `std::runtime_error` that says what is wrong, the seed, and what led to it.
FleetCounters run_fleet(std::uint64_t seed);

}  // namespace troupe::testing
