#include "messages.hpp"

#include <troupe/core/future.hpp>
#include <troupe/core/sim_cluster.hpp>

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <string>
#include <vector>

namespace troupe::testing {
namespace {

constexpr std::int64_t ms = 1'000'000;

/// Counts what comes, and lets a main function see.
class Count final : public Actor<Token> {
 public:
  explicit Count(int& count) : count_(count) {}

 private:
  friend ActorAccess;
  void on(const Token& token) {
    ++count_;
    if (token.left > 0) self().send(Token{token.left - 1});
  }
  int& count_;
};

class Forever final : public Actor<Token> {
 private:
  friend ActorAccess;
  void on(const Token& token) { self().send(token); }
};

/// Three processes that each handle some messages, rest a little, and write down when.
std::string story_of(std::uint64_t seed, std::uint64_t* history = nullptr) {
  std::string story;
  sim::Cluster cluster(seed);
  std::vector<std::shared_ptr<sim::Process>> all;
  for (const char* const name : {"a", "b", "c"})
    all.push_back(cluster.start(name, [&](sim::Process& self) {
      int count = 0;
      const auto counter = self.system().spawn<Count>(count);
      for (int round = 1; round <= 4; ++round) {
        counter.send(Token{4});
        self.system().wait_until([&] { return count == 5 * round; }, "five tokens");
        story += self.name();
        self.sleep(1 + static_cast<std::int64_t>(self.system().random().next() % (10 * ms)));
      }
    }));
  CHECK(cluster.run_until(
      [&] {
        return std::none_of(all.begin(), all.end(), [](const auto& one) { return one->alive(); });
      },
      1000 * ms));
  if (history) *history = cluster.history();
  return story + " " + std::to_string(cluster.now_ns());
}

}  // namespace

TEST_CASE("a seed fixes what several processes do, and seeds explore many", "[core][simulation]") {
  std::set<std::string> stories;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    std::uint64_t history = 0;
    std::uint64_t again = 1;
    const std::string story = story_of(seed, &history);
    CHECK(story == story_of(seed, &again));
    CHECK(history == again);
    stories.insert(story);
  }
  CHECK(stories.size() > 40);
}

TEST_CASE("a simulated process waits in virtual time", "[core][simulation]") {
  sim::Cluster cluster(1);
  std::int64_t slept_ns = 0;
  const auto process = cluster.start("a", [&](sim::Process& self) {
    const std::int64_t began_ns = self.system().clock().now_ns();
    CHECK(began_ns == cluster.clock_ns(self, cluster.now_ns()));
    self.sleep(3'600'000 * ms);
    CHECK_FALSE(self.wait_for([] { return false; }, 5, "nothing"));
    CHECK(self.wait_for([] { return true; }, 5, "everything"));
    slept_ns = self.system().clock().now_ns() - began_ns;
  });
  CHECK_FALSE(cluster.run_until([&] { return !process->alive(); }, 3'599'999 * ms));
  CHECK(cluster.describe() == "\n  a (life 1): waits for its work");
  CHECK(cluster.run_until([&] { return !process->alive(); }, 3'600'001 * ms));
  CHECK(slept_ns == 3'600'000 * ms + 5);
  CHECK(cluster.describe() == "\n  a (life 1): ended");
}

TEST_CASE("a timer of a simulated process is due by its own clock", "[core][simulation]") {
  sim::Cluster cluster(2);
  int count = 0;
  const auto process = cluster.start("a", [&](sim::Process& self) {
    const auto counter = self.system().spawn<Count>(count);
    self.system().after(7 * ms, counter, Token{0});
    self.system().wait_until([&] { return count == 1; }, "a token");
  });
  CHECK(cluster.run_until([&] { return !process->alive(); }, 100 * ms));
  CHECK(cluster.now_ns() >= 7 * ms);
  CHECK(cluster.now_ns() < 20 * ms);  // it may rest
}

TEST_CASE("what ends a main function by itself is kept", "[core][simulation]") {
  sim::Cluster cluster(3);
  const auto process =
      cluster.start("a", [](sim::Process&) { throw Error(ErrorCode::overload, "too much"); });
  CHECK(cluster.run_until([&] { return !process->alive(); }, ms));
  REQUIRE(process->error());
  CHECK(process->error()->code() == ErrorCode::overload);
  CHECK_FALSE(process->killed());
}

TEST_CASE("a killed process does nothing more, and its system ends", "[core][simulation]") {
  sim::Cluster cluster(4);
  bool came_back = false;
  bool unwound = false;
  const auto process = cluster.start("a", [&](sim::Process& self) {
    struct Watch {
      bool& unwound;
      ~Watch() { unwound = true; }
    } watch{unwound};
    self.system().wait_until([] { return false; }, "the end of days");
    came_back = true;
  });
  cluster.at(5 * ms, [&] {
    cluster.kill(*process);
    cluster.tell(*process, [&] { came_back = true; });
  });
  CHECK(cluster.run_until([&] { return !process->alive(); }, 10 * ms));
  CHECK(unwound);
  CHECK(process->killed());
  CHECK_FALSE(process->error());
  cluster.kill(*process);  // once more does no harm
  CHECK_FALSE(cluster.run_until([&] { return came_back; }, 20 * ms));
  const auto next = cluster.start("a", [](sim::Process&) {});
  CHECK(next->life() == 2);
  CHECK(cluster.find("a") == next);
  CHECK_THROWS_AS(cluster.start("a", [](sim::Process&) {}), Error);
}

TEST_CASE(
    "a stopped process is told, and its timers are due, when it goes on", "[core][simulation]") {
  sim::Cluster cluster(5);
  int count = 0;
  std::int64_t woke_ns = 0;
  int told = 0;
  const auto process = cluster.start("a", [&](sim::Process& self) {
    const auto counter = self.system().spawn<Count>(count);
    self.system().after(10 * ms, counter, Token{0});
    self.system().wait_until([&] { return count == 1; }, "a token");
    woke_ns = cluster.now_ns();
  });
  cluster.at(5 * ms, [&] { cluster.stop(*process); });
  cluster.at(6 * ms, [&] { cluster.tell(*process, [&] { told = told * 10 + 1; }); });
  cluster.at(7 * ms, [&] { cluster.tell(*process, [&] { told = told * 10 + 2; }); });
  CHECK_FALSE(cluster.run_until([&] { return count > 0 || told > 0; }, 50 * ms));
  cluster.go_on(*process);
  CHECK(told == 12);
  CHECK(cluster.run_until([&] { return !process->alive(); }, 100 * ms));
  CHECK(woke_ns >= 50 * ms);
}

TEST_CASE("a process that hangs is told, but handles nothing", "[core][simulation]") {
  sim::Cluster cluster(5);
  int count = 0;
  int told = 0;
  const auto process = cluster.start("a", [&](sim::Process& self) {
    const auto counter = self.system().spawn<Count>(count);
    self.system().after(10 * ms, counter, Token{0});
    self.system().wait_until([&] { return count == 1; }, "a token");
  });
  cluster.at(5 * ms, [&] { cluster.hang(*process); });
  cluster.at(6 * ms, [&] { cluster.tell(*process, [&] { ++told; }); });
  CHECK_FALSE(cluster.run_until([&] { return count > 0; }, 50 * ms));
  CHECK(told == 1);
  const Progress hung = process->system().progress();
  CHECK(hung.busy);
  CHECK(cluster.describe() == "\n  a (life 1): hangs: waits for a token");
  cluster.go_on(*process);
  CHECK(cluster.run_until([&] { return count == 1; }, 100 * ms));
  CHECK(process->system().progress().done > hung.done);
  CHECK(cluster.run_until([&] { return !process->alive(); }, 100 * ms));
}

TEST_CASE("a disk outlives the processes of its name", "[core][simulation]") {
  sim::Cluster cluster(6);
  for (int life = 1; life <= 2; ++life) {
    bool there = false;
    const auto process = cluster.start("a", [&](sim::Process& self) {
      there = self.system().disk().exists("/note");
      (void)self.system().disk().create("/note");
    });
    CHECK(cluster.run_until([&] { return !process->alive(); }, 1000 * ms));
    CHECK(there == (life == 2));
  }
  CHECK_FALSE(cluster.disk("b").exists("/note"));
}

TEST_CASE("who waits for a process from outside is told how", "[core][simulation]") {
  sim::Cluster cluster(7);
  const auto process = cluster.start("a", [](sim::Process& self) { self.sleep(ms); });
  CHECK_THROWS_AS(process->system().wait_until([] { return false; }, "something"), Error);
}

TEST_CASE("a cluster that goes on for ever while time stands still is told", "[core][simulation]") {
  sim::Cluster cluster(8);
  const auto process = cluster.start("a", [](sim::Process& self) {
    self.system().spawn<Forever>().send(Token{0});
    self.system().wait_until([] { return false; }, "the end of days");
  });
  CHECK_THROWS_AS(cluster.run_until([] { return false; }, 1000 * ms, 10'000), Error);
}

}  // namespace troupe::testing
