#include "session_world.hpp"

#include <catch2/catch_test_macros.hpp>

// Goal: whatever a link does, no message is lost, doubled or out of order, no credit leaks, windows
// hold, and once the faults end all that was offered arrives within a minute.
// Method: two sessions in virtual time over a link that cuts, freezes, refuses, repeats, loses,
// swaps and damages by seed; a ledger checks each message as it is taken.
TEST_CASE("two thousand seeds of a hostile link lose nothing", "[net][simulation]") {
  for (std::uint64_t seed = 0; seed < 2000; ++seed) CHECK_NOTHROW(troupe::testing::run_seed(seed));
}
