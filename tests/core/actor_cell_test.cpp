#include "messages.hpp"

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <thread>

namespace troupe::testing {
namespace {

class Keeper final : public Actor<Held, Token> {
 public:
  explicit Keeper(int& ended) : ended_(ended) {}
  ~Keeper() {
    ++ended_;
    self().send(Token{});  // last words to itself reach nobody and harm nobody
  }

 private:
  friend ActorAccess;
  void on(Held&& held) { held_ = std::move(held); }
  void on(const Token& token) {
    // Messages to itself keep it alive after the last address of others is gone.
    if (token.left > 0) self().send(Token{token.left - 1});
  }
  int& ended_;
  Held held_;
};

}  // namespace

TEST_CASE("an idle actor ends with its last address, and frees what it holds", "[core]") {
  int ended = 0;
  auto what = std::make_shared<int>(1);
  System system({.threads = 1});
  auto keeper = system.spawn<Keeper>(ended);
  keeper.send(Held{what});
  system.run_ready();
  CHECK(what.use_count() == 2);
  auto copy = keeper;
  keeper = {};
  CHECK(ended == 0);
  copy = {};
  CHECK(ended == 1);
  CHECK(what.use_count() == 1);
  CHECK(system.blocks_in_use() == 0);
}

TEST_CASE("messages sent before the last address went are handled", "[core][simulation]") {
  const auto seed = GENERATE(take(100, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  int ended = 0;
  auto what = std::make_shared<int>(1);
  sim::World world{seed};
  {
    auto keeper = world.system().spawn<Keeper>(ended);
    keeper.send(Token{static_cast<std::int64_t>(seed % 20)});
    keeper.send(Held{what});
  }
  CHECK(ended == 0);
  world.run_until_idle();
  CHECK(ended == 1);
  CHECK(what.use_count() == 1);
  CHECK(world.system().blocks_in_use() == 0);
}

TEST_CASE("addresses may be copied and dropped by many threads", "[core][stress]") {
  System system({.threads = 2});
  for (int round = 0; round < 200; ++round) {
    auto adder = system.spawn<Adder>();
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([adder] {
        for (int i = 0; i < 20; ++i) {
          auto copy = adder;
          copy.send(Number{1});
        }
      });
    }
    adder = {};
    for (std::thread& thread : threads) thread.join();
  }
  system.pending_outside(1);
  system.wait_until([&] { return system.actors_alive() == 0; }, "the end of all");
  system.pending_outside(-1);
}

TEST_CASE("an address that outlives its system does no harm", "[core]") {
  Address<Number, Question> left;
  std::string logged;
  {
    System system({.threads = 1, .log = [&](LogLevel, std::string_view line) { logged += line; }});
    left = system.spawn<Adder>();
  }
  CHECK(logged.find("outlive") != std::string::npos);
  left = {};
}

}  // namespace troupe::testing
