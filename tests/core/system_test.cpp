#include "messages.hpp"

#include <troupe/core/monitor.hpp>
#include <troupe/core/sim.hpp>
#include <troupe/core/system.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <thread>

namespace troupe::testing {
namespace {

struct Journal {
  std::string lines;
};

class First final : public Service {
 public:
  explicit First(Journal& journal) : journal_(journal) {}
  void stop() noexcept override { journal_.lines += "first "; }

 private:
  Journal& journal_;
};

class Second final : public Service {
 public:
  explicit Second(Journal& journal) : journal_(journal) {}
  void stop() noexcept override { journal_.lines += "second "; }
  void describe_stall(std::string& report) const override {
    report += "\n  second: waits for first";
  }

 private:
  Journal& journal_;
};

/// Two that know each other: neither ever becomes unreachable by itself.
class Friend final : public Actor<Question, Held> {
 public:
  explicit Friend(int& alive) : alive_(alive) { ++alive_; }
  ~Friend() { --alive_; }
  Address<Held> other;

 private:
  friend ActorAccess;
  void on(Question) {}
  void on(Held&&) {}
  int& alive_;
};

}  // namespace

TEST_CASE("services are found by type and stopped in reverse order", "[core]") {
  Journal journal;
  {
    System system({.threads = 1});
    First& first = system.attach<First>(journal);
    CHECK(system.find<Second>() == nullptr);
    Second& second = system.attach<Second>(journal);
    CHECK(system.find<First>() == &first);
    CHECK(system.find<Second>() == &second);
    CHECK_THROWS_AS(system.attach<First>(journal), Error);
    try {
      system.wait_until([] { return false; }, "anything");
      FAIL("it came");
    } catch (const Error& error) {
      CHECK(error.message().find("second: waits for first") != std::string::npos);
    }
  }
  CHECK(journal.lines == "second first ");
}

TEST_CASE("stopping ends actors that know each other and drops what is queued", "[core]") {
  const unsigned threads = GENERATE(1u, 3u);
  int alive = 0;
  auto what = std::make_shared<int>(0);
  std::string logged;
  {
    System system(
        {.threads = threads, .log = [&](LogLevel, std::string_view line) { logged += line; }});
    for (int i = 0; i < 50; ++i) {
      auto a = system.spawn<Friend>(alive);
      auto b = system.spawn<Friend>(alive);
      ActorAccess::body_if<Friend>(*a.cell())->other = b;
      ActorAccess::body_if<Friend>(*b.cell())->other = a;
      a.send(Held{what});
      b.send(Held{what});
    }
    CHECK(alive == 100);
  }
  CHECK(alive == 0);
  CHECK(what.use_count() == 1);
  CHECK(logged.empty());
}

TEST_CASE("systems come and go without a trace", "[core]") {
  const auto count = [](const char* folder) {
    return std::distance(std::filesystem::directory_iterator(folder), {});
  };
  const auto round = [](int i) {
    System system({.threads = 1 + static_cast<unsigned>(i) % 4});
    auto adder = system.spawn<Adder>();
    adder.send(Number{1});
    system.after(1'000'000'000'000, adder, Number{2});  // makes the timers' thread
  };
  round(3);  // what the C++ library opens at first need stays open
  const auto threads = count("/proc/self/task");
  const auto files = count("/proc/self/fd");
  for (int i = 0; i < 50; ++i) round(i);
  // A joined thread may be listed for a moment longer.
  for (int i = 0; i < 1'000 && count("/proc/self/task") > threads; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(count("/proc/self/task") <= threads);  // and so it may have been in the first count
  CHECK(count("/proc/self/fd") == files);
}

TEST_CASE("a policy with a clock that runs by itself is refused", "[core]") {
  sim::SeededPolicy policy(1);
  const auto real = make_real_clock();
  for (Clock* clock : {static_cast<Clock*>(nullptr), real.get()}) {
    try {
      System system({.threads = 1, .clock = clock, .policy = &policy});
      FAIL("it was taken");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      CHECK(error.hint().find("make_simulated_clock") != std::string::npos);
    }
  }
}

TEST_CASE("what an actor throws is logged with its name", "[core]") {
  std::string logged;
  System system({.threads = 1, .log = [&](LogLevel, std::string_view line) { logged += line; }});
  auto faulty = system.spawn_named<Faulty>("the tenth");
  faulty.send(Fault{"broken"});
  system.run_ready();
  CHECK(logged.find("broken") != std::string::npos);
  CHECK(logged.find("the tenth") != std::string::npos);
}

}  // namespace troupe::testing
