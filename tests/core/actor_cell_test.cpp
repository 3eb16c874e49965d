#include "messages.hpp"

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <thread>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#endif

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

/// Answers at once, and keeps no address.
class Answerer final : public Actor<Question> {
 private:
  friend ActorAccess;
  void on(const Question& question) { question.to.send(Number{1}); }
};

/// Gives its own address to another when told to.
class Giver final : public Actor<Token, Number> {
 public:
  Giver(Address<Question> to, std::atomic<int>& told, std::atomic<int>& ended)
      : to_(std::move(to)), told_(told), ended_(ended) {}
  ~Giver() { ended_.fetch_add(1); }

 private:
  friend ActorAccess;
  void on(const Token&) { to_.send(Question{self()}); }
  void on(const Number&) { told_.fetch_add(1); }
  Address<Question> to_;
  std::atomic<int>& told_;
  std::atomic<int>& ended_;
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

TEST_CASE("an actor that gives out its address as the last is dropped goes on", "[core][stress]") {
  System system({.threads = 3});
  constexpr int rounds = 2'000;
  std::atomic<int> told{0};
  std::atomic<int> ended{0};
  auto adder = system.spawn<Answerer>();
  auto drop = [&] {
    for (int i = 0; i < rounds; ++i) {
      // A worker runs it while this thread drops the only address.
      auto giver = system.spawn<Giver>(adder, told, ended);
      giver.send(Token{});
    }
  };
  std::thread one(drop);
  std::thread other(drop);
  one.join();
  other.join();
  system.pending_outside(1);
  system.wait_until([&] { return ended == 2 * rounds; }, "the end of all");
  system.pending_outside(-1);
  CHECK(told == 2 * rounds);
}

TEST_CASE("an address that outlives its system does no harm", "[core]") {
  Address<Number, Question> left;
  std::string logged;
  {
    System system({.threads = 1, .log = [&](LogLevel, std::string_view line) { logged += line; }});
    left = system.spawn<Adder>();
  }
#if defined(__SANITIZE_ADDRESS__)
  __lsan_ignore_object(left.cell().get());  // left to whoever holds it, as Pool::keep_memory says
#endif
  CHECK(logged.find("outlive") != std::string::npos);
  left = {};
}

}  // namespace troupe::testing
