#include <troupe/core/clock.hpp>

#include <catch2/catch_test_macros.hpp>

namespace troupe::testing {

TEST_CASE("the real clock runs by itself and never goes back", "[core]") {
  const auto clock = make_real_clock();
  CHECK(clock->runs_by_itself());
  std::int64_t last = clock->now_ns();
  for (int i = 0; i < 1'000; ++i) {
    const std::int64_t now = clock->now_ns();
    REQUIRE(now >= last);
    last = now;
  }
}

TEST_CASE("the simulated clock moves only when told to, and only forward", "[core]") {
  const auto clock = make_simulated_clock();
  CHECK_FALSE(clock->runs_by_itself());
  CHECK(clock->now_ns() == 0);
  clock->advance_to(50);
  clock->advance_to(20);
  CHECK(clock->now_ns() == 50);
}

}  // namespace troupe::testing
