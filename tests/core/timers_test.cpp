#include "messages.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>

#include <limits>

namespace troupe::testing {
namespace {

class Diary final : public Actor<Number> {
 public:
  explicit Diary(std::vector<std::pair<std::int64_t, std::int64_t>>& lines) : lines_(lines) {}

 private:
  friend ActorAccess;
  void on(const Number& number) { lines_.emplace_back(system().clock().now_ns(), number.value); }
  std::vector<std::pair<std::int64_t, std::int64_t>>& lines_;
};

}  // namespace

TEST_CASE("simulated timers come in time and in order, and can be cancelled", "[core]") {
  std::vector<std::pair<std::int64_t, std::int64_t>> lines;
  sim::World world{9};
  System& system = world.system();
  auto diary = system.spawn<Diary>(lines);
  system.after(3'000'000'000, diary, Number{3});
  system.after(1'000'000'000, diary, Number{1});
  const std::uint64_t second = system.after(2'000'000'000, diary, Number{2});
  CHECK(system.cancel(second));
  CHECK_FALSE(system.cancel(second));
  world.run_for(1'500'000'000);
  CHECK(lines.size() == 1);
  world.run_until_idle();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == std::pair<std::int64_t, std::int64_t>{1'000'000'000, 1});
  CHECK(lines[1] == std::pair<std::int64_t, std::int64_t>{3'000'000'000, 3});
}

TEST_CASE("a real timer wakes who waits, and is not taken for a stall", "[core]") {
  std::vector<std::pair<std::int64_t, std::int64_t>> lines;
  System system({.threads = 2});
  auto diary = system.spawn<Diary>(lines);
  const std::int64_t began_ns = system.clock().now_ns();
  system.after(20'000'000, diary, Number{2});
  system.after(5'000'000, diary, Number{1});
  system.wait_until([&] { return lines.size() == 2; }, "both timers");
  CHECK(lines[0].second == 1);
  CHECK(lines[1].first - began_ns >= 20'000'000);
}

TEST_CASE("a delay past the end of time is no moment in the past", "[core]") {
  std::vector<std::pair<std::int64_t, std::int64_t>> lines;
  {
    sim::World world{9};
    auto diary = world.system().spawn<Diary>(lines);
    world.run_for(5'000);
    world.system().after(std::numeric_limits<std::int64_t>::max(), diary, Number{1});
    world.run_for(1'000'000'000);
  }
  {
    System system({.threads = 1});
    auto diary = system.spawn<Diary>(lines);
    system.after(std::numeric_limits<std::int64_t>::max(), diary, Number{1});
    system.after(5'000'000, diary, Number{2});
    system.wait_until([&] { return !lines.empty(); }, "the short timer");
  }
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].second == 2);
}

TEST_CASE("timers not yet due are dropped with the system", "[core]") {
  auto what = std::make_shared<int>(0);
  std::string logged;
  {
    System system({.threads = 1, .log = [&](LogLevel, std::string_view line) { logged += line; }});
    class Box final : public Actor<Held> {
     public:
      void on(Held&&) {}
    };
    system.after(1'000'000'000'000, system.spawn<Box>(), Held{what});
    CHECK(what.use_count() == 2);
  }
  CHECK(what.use_count() == 1);
  CHECK(logged.empty());
}

}  // namespace troupe::testing
