#include "control.hpp"
#include "messages.hpp"

#include <troupe/core/monitor.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <map>

namespace troupe::testing {
namespace {

class Watcher final : public Actor<Down> {
 public:
  explicit Watcher(std::vector<Down>& downs) : downs_(downs) {}

 private:
  friend ActorAccess;
  void on(Down&& down) { downs_.push_back(std::move(down)); }
  std::vector<Down>& downs_;
};

}  // namespace

TEST_CASE("a monitor is told exactly once, whenever it was set", "[core][simulation]") {
  const auto seed = GENERATE(take(200, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  sim::World world{seed};
  System& system = world.system();
  std::vector<Down> downs;
  auto watcher = system.spawn<Watcher>(downs);
  auto faulty = system.spawn<Faulty>();
  const bool fails = seed % 2;
  if (seed % 3 == 0) monitor(faulty, watcher);
  if (fails)
    faulty.send(Fault{"broken"});
  else
    stop(faulty);
  if (seed % 3 == 1) monitor(faulty, watcher);
  world.run_until_idle();
  if (seed % 3 == 2) monitor(faulty, watcher);
  world.run_until_idle();
  // Later messages to the dead actor change nothing.
  faulty.send(Fault{"again"});
  stop(faulty);
  world.run_until_idle();

  REQUIRE(downs.size() == 1);
  CHECK(downs[0].actor == Address<>(faulty));
  CHECK(downs[0].failed == fails);
  if (fails) {
    CHECK(downs[0].reason.code() == ErrorCode::invalid_argument);
    CHECK(downs[0].reason.message() == "broken");
    CHECK(downs[0].reason.actor().find("Faulty") != std::string::npos);
  }
}

TEST_CASE("a monitor is told when nobody can reach the actor any more", "[core]") {
  sim::World world{1};
  std::vector<Down> downs;
  auto watcher = world.system().spawn<Watcher>(downs);
  {
    auto faulty = world.system().spawn<Faulty>();
    monitor(faulty, watcher);
  }
  world.run_until_idle();
  REQUIRE(downs.size() == 1);
  CHECK_FALSE(downs[0].failed);
  CHECK(world.system().actors_alive() == 1);
}

TEST_CASE("a monitor taken back is not told", "[core]") {
  sim::World world{1};
  std::vector<Down> downs;
  auto watcher = world.system().spawn<Watcher>(downs);
  auto faulty = world.system().spawn<Faulty>();
  monitor(faulty, watcher);
  demonitor(faulty, watcher);
  stop(faulty);
  world.run_until_idle();
  CHECK(downs.empty());
}

TEST_CASE("links carry a failure to all who are tied, and no further", "[core][simulation]") {
  const auto seed = GENERATE(take(100, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  sim::World world{seed};
  System& system = world.system();
  std::vector<Down> downs;
  auto watcher = system.spawn<Watcher>(downs);
  std::vector<Address<Fault, Number>> actors;
  for (int i = 0; i < 6; ++i) {
    actors.push_back(system.spawn<Faulty>());
    monitor(actors.back(), watcher);
  }
  for (int i = 0; i + 1 < 4; ++i) link(actors[i], actors[i + 1]);
  link(actors[4], actors[5]);
  unlink(actors[4], actors[5]);
  world.run_until_idle();
  actors[seed % 4].send(Fault{"broken"});
  actors[4].send(Fault{"also"});
  world.run_until_idle();
  CHECK(downs.size() == 5);
  CHECK_FALSE(actors[5].cell()->stopped());
}

TEST_CASE("an actor that stops as wished does not take its links along", "[core]") {
  sim::World world{1};
  auto one = world.system().spawn<Faulty>();
  auto other = world.system().spawn<Faulty>();
  link(one, other);
  world.run_until_idle();
  stop(one);
  world.run_until_idle();
  CHECK(one.cell()->stopped());
  CHECK_FALSE(other.cell()->stopped());
}

TEST_CASE("a link to one that failed already fails too", "[core]") {
  sim::World world{1};
  auto one = world.system().spawn<Faulty>();
  auto other = world.system().spawn<Faulty>();
  one.send(Fault{"broken"});
  world.run_until_idle();
  link(one, other);
  world.run_until_idle();
  CHECK(other.cell()->stopped());
}

// The failure and the link race in every order that the schedule allows.
TEST_CASE("a link is never too late for a failure", "[core][simulation]") {
  const auto seed = GENERATE(take(300, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  sim::World world{seed};
  auto one = world.system().spawn<Faulty>();
  auto other = world.system().spawn<Faulty>();
  const Address<> either[2] = {one, other};
  const auto fault = [&] { one.send(Fault{"broken"}); };
  if (seed % 3 == 0) fault();
  link(either[seed % 2], either[1 - seed % 2]);
  if (seed % 3 == 1) fault();
  if (seed % 3 == 2) {
    // One end of the link is handled before anything else is.
    for (unsigned i = 0; i < 1 + seed % 2; ++i) world.system().run_ready();
    fault();
  }
  world.run_until_idle();
  CHECK(one.cell()->stopped());
  CHECK(other.cell()->stopped());
}

TEST_CASE("a link's end that comes after the other failed is told then", "[core]") {
  // By hand, for the order is rare: the news came before the tie, and found none.
  sim::World world{1};
  auto one = world.system().spawn<Faulty>();
  auto other = world.system().spawn<Faulty>();
  one.send(Fault{"broken"});
  world.run_until_idle();
  other.cell()->deliver(
      *other.cell()->make_message(LinkDown{one.cell(), Error(ErrorCode::op_failed, "broken")}));
  world.run_until_idle();
  CHECK_FALSE(other.cell()->stopped());
  other.cell()->deliver(*other.cell()->make_message(Link{one.cell(), true}));
  world.run_until_idle();
  CHECK(other.cell()->stopped());
}

TEST_CASE("a link to one that stopped as wished holds nothing", "[core]") {
  sim::World world{1};
  auto one = world.system().spawn<Faulty>();
  auto other = world.system().spawn<Faulty>();
  stop(one);
  world.run_until_idle();
  link(one, other);
  world.run_until_idle();
  CHECK_FALSE(other.cell()->stopped());
  one = {};
  other = {};
  world.run_until_idle();
  CHECK(world.system().actors_alive() == 0);
  CHECK(world.system().blocks_in_use() == 0);
}

TEST_CASE("stop comes after what was sent before", "[core]") {
  sim::World world{1};
  auto adder = world.system().spawn<Adder>();
  auto faulty = world.system().spawn<Faulty>(adder);
  std::vector<Down> downs;
  monitor(faulty, world.system().spawn<Watcher>(downs));
  for (int i = 0; i < 5; ++i) faulty.send(Number{1});
  stop(faulty, Error(ErrorCode::stopped, "enough"));
  faulty.send(Number{100});
  world.run_until_idle();
  REQUIRE(downs.size() == 1);
  CHECK(downs[0].reason.message() == "enough");
}

TEST_CASE("nothing of monitors and links is left behind", "[core]") {
  std::vector<Down> downs;
  System system({.threads = 1});
  {
    auto watcher = system.spawn<Watcher>(downs);
    auto a = system.spawn<Faulty>();
    auto b = system.spawn<Faulty>();
    link(a, b);
    monitor(a, watcher);
    system.run_ready();
    a.send(Fault{"x"});
    system.wait_until([&] { return a.cell()->stopped() && b.cell()->stopped(); }, "two ends");
  }
  system.run_ready();
  CHECK(downs.size() == 1);
  downs.clear();
  CHECK(system.actors_alive() == 0);
  CHECK(system.blocks_in_use() == 0);
}

}  // namespace troupe::testing
