#include "fleet_simulation.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace troupe::testing {

// Goal: whatever happens to a fleet, no step is wrong, lost or led by two, and once nothing happens
// any more the run ends.
// Method: whole processes in virtual time, with the real sessions, networks, leaders and followers,
// over links that are late, cut, frozen, refused and blocked; processes are killed, stopped and
// started again; see `run_fleet` for what is looked at. TROUPE_SEED=n repeats one fleet.
TEST_CASE("two thousand fleets come to the bits of one process", "[cluster][simulation]") {
  if (const char* const seed = std::getenv("TROUPE_SEED")) {
    CHECK_NOTHROW(run_fleet(std::strtoull(seed, nullptr, 10)));
    return;
  }
  constexpr std::uint64_t seeds = 2000;
  constexpr std::size_t failures_told = 3;
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;
  FleetCounters sum;
  std::vector<std::string> failures;
  const auto work = [&] {
    for (std::uint64_t seed = next++; seed < seeds; seed = next++) {
      try {
        const FleetCounters counters = run_fleet(seed);
        const std::lock_guard lock(mutex);
        sum += counters;
      } catch (const std::exception& error) {
        const std::lock_guard lock(mutex);
        failures.emplace_back(error.what());
        if (failures.size() == failures_told) next = seeds;
      }
    }
  };
  // Fleets have nothing to do with each other; of each, one thread runs at a time.
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  for (const std::string& failure : failures) FAIL_CHECK(failure);
  if (!failures.empty()) return;
  // Of all that a fleet must stand, enough has happened.
  CAPTURE(sum.text());
  CHECK(sum.steps > 20 * seeds);
  CHECK(sum.kills > seeds / 4);
  CHECK(sum.stops > seeds / 4);
  CHECK(sum.hangs > seeds / 8);
  CHECK(sum.partitions > seeds / 2);
  CHECK(sum.cuts > seeds);
  CHECK(sum.fenced > 20);
  CHECK(sum.minorities > 20);
  CHECK(sum.orphans > 5);
  CHECK(sum.later_states > 100);
}

TEST_CASE("the same seed gives the same fleet, to the bit", "[cluster][simulation]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const FleetCounters once = run_fleet(seed);
    const FleetCounters again = run_fleet(seed);
    CHECK(once.text() == again.text());
    CHECK(once.history == again.history);
  }
}

}  // namespace troupe::testing
