#include "messages.hpp"
#include "support/count.hpp"

#include <troupe/core/scheduler.hpp>
#include <troupe/core/sim.hpp>
#include <troupe/core/trace.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <nlohmann/json.hpp>

#include <clocale>
#include <thread>

namespace troupe::testing {
namespace {

using Catch::Matchers::ContainsSubstring;

/// Belongs to a step, as a training loop's messages do.
struct Step {
  static constexpr MessageId id{70'200};
  static constexpr std::string_view name = "step";

  std::uint64_t number = 0;
  [[nodiscard]] std::uint64_t trace_key() const noexcept { return number; }

  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
  }
};

class Op final : public Actor<Step> {
 public:
  explicit Op(Address<Step> next = {}) : next_(std::move(next)) {}
  [[nodiscard]] std::string_view trace_name() const noexcept { return next_ ? "mul" : "sum"; }

 private:
  friend ActorAccess;
  void on(const Step& step) {
    if (next_) next_.send(step);
  }
  Address<Step> next_;
};

std::string traced(System& system, sim::MemoryDisk& disk) {
  REQUIRE(system.tracer().write(disk, "/trace.json"));
  const auto bytes = disk.read_all("/trace.json");
  REQUIRE(bytes);
  std::string text(reinterpret_cast<const char*>(bytes.value().data()), bytes.value().size());
  // Whatever was traced: JSON, and no event before the start or longer than the trace.
  const auto json = nlohmann::json::parse(text);
  for (const auto& event : json.at("traceEvents")) {
    if (event.at("ph") == "M") continue;
    REQUIRE(event.at("ts").get<double>() >= 0);
    REQUIRE(event.at("ts").get<double>() < 1e9);
    if (event.at("ph") == "X") REQUIRE(event.at("dur").get<double>() >= 0);
    if (event.at("ph") == "X") REQUIRE(event.at("dur").get<double>() < 1e9);
  }
  return text;
}

class Kernel final : public Work {
 public:
  using Work::Work;
  [[nodiscard]] std::string_view trace_name() const noexcept override { return "matmul"; }

 private:
  void run_chunk(std::uint32_t, std::uint32_t) noexcept override {}
  void destroy() noexcept override { delete this; }
};

}  // namespace

TEST_CASE("a trace tells who handled what, for which step, and who sent it", "[core]") {
  sim::MemoryDisk disk;
  System system({.threads = 1});
  auto last = system.spawn<Op>();
  auto first = system.spawn<Op>(last);
  auto named = system.spawn_named<Adder>("the \"adder\"");
  system.tracer().start();
  CHECK(system.tracer().on());
  {
    Scheduler::CallerGuard guard(system);
    const std::uint64_t began = system.tracer().now();
    first.send(Step{42});
    named.send(Number{1});
    system.run_ready();
    auto kernel = Ref<Kernel>::adopt(new Kernel(system));
    kernel->phases = 1;
    kernel->chunks[0] = 3;
    system.submit(std::move(kernel));
    system.tracer().span("training step", began);
  }
  const std::string text = traced(system, disk);
  CHECK_FALSE(system.tracer().on());
  CHECK_THAT(text, ContainsSubstring("\"mul: step\""));
  CHECK_THAT(text, ContainsSubstring("\"sum: step\""));
  CHECK_THAT(text, ContainsSubstring("\"the \\\"adder\\\": number\""));
  CHECK_THAT(text, ContainsSubstring("\"step\":42"));
  CHECK_THAT(text, ContainsSubstring("\"matmul\""));
  CHECK_THAT(text, ContainsSubstring("\"training step\",\"cat\":\"span\""));
  CHECK(test::count(text, "\"ph\":\"s\"") == 3);
  CHECK(test::count(text, "\"ph\":\"f\"") == 3);
  CHECK(test::count(text, "{") == test::count(text, "}"));
}

TEST_CASE("nothing is recorded while tracing is off", "[core]") {
  sim::MemoryDisk disk;
  System system({.threads = 1});
  auto op = system.spawn<Op>();
  op.send(Step{1});
  system.run_ready();
  system.tracer().start();
  system.tracer().stop();
  op.send(Step{2});
  system.run_ready();
  CHECK(test::count(traced(system, disk), "\"ph\":\"X\"") == 0);
}

TEST_CASE("a full ring keeps the newest", "[core]") {
  sim::MemoryDisk disk;
  System system({.threads = 1});
  auto adder = system.spawn<Adder>();
  system.tracer().start(100);
  for (int i = 0; i < 1'000; ++i) adder.send(Number{1});
  system.run_ready();
  const std::size_t kept = test::count(traced(system, disk), "\"ph\":\"X\"");
  CHECK(kept <= 100);
  CHECK(kept >= 80);
}

TEST_CASE("each start has rings of its own size", "[core]") {
  sim::MemoryDisk disk;
  System system({.threads = 1});
  auto adder = system.spawn<Adder>();
  for (const std::size_t events_max : {100u, 1'000u, 50u, 1'000u}) {
    system.tracer().start(events_max);
    for (int i = 0; i < 2'000; ++i) adder.send(Number{1});
    system.run_ready();
    const std::size_t kept = test::count(traced(system, disk), "\"ph\":\"X\"");
    CHECK(kept <= events_max);
    CHECK(kept >= events_max - 20);
  }
}

TEST_CASE("a trace is JSON in every locale, whatever actors are called", "[core]") {
  sim::MemoryDisk disk;
  System system({.threads = 1});
  auto op = system.spawn<Op>();
  auto strange = system.spawn_named<Adder>("a\\b\"c\n\t\x01");
  system.tracer().start();
  for (std::uint64_t i = 0; i < 3; ++i) op.send(Step{i});
  strange.send(Number{1});
  system.run_ready();
  const std::string before = std::setlocale(LC_ALL, nullptr);
  for (const char* name : {"de_DE.UTF-8", "fr_FR.UTF-8"}) (void)std::setlocale(LC_ALL, name);
  const std::string text = traced(system, disk);
  std::setlocale(LC_ALL, before.c_str());
  CHECK(test::count(text, "\"ph\":\"X\"") == 4);
}

TEST_CASE("what was traced before does not reach into the next trace", "[core][stress]") {
  sim::MemoryDisk disk;
  /// Sends to itself until told to stop: its thread is busy from one trace to the next.
  class Busy final : public Actor<Step> {
   public:
    explicit Busy(std::atomic<bool>& enough) : enough_(enough) {}

   private:
    friend ActorAccess;
    void on(const Step& step) {
      if (!enough_) self().send(Step{step.number + 1});
    }
    std::atomic<bool>& enough_;
  };
  std::atomic<bool> enough{false};
  System system({.threads = 2});
  system.spawn<Busy>(enough).send(Step{});
  for (int round = 0; round < 5; ++round) {
    system.tracer().start(100'000);
    const auto began = std::chrono::steady_clock::now();
    // The first is long, so that times of it are later than all of the next.
    std::this_thread::sleep_for(std::chrono::milliseconds(round == 0 ? 50 : 2));
    const auto json = nlohmann::json::parse(traced(system, disk));
    const double lasted_us =
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began).count();
    for (const auto& event : json.at("traceEvents")) {
      if (event.at("ph") != "X") continue;
      const double end_us = event.at("ts").get<double>() + event.at("dur").get<double>();
      REQUIRE(end_us <= lasted_us);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  enough = true;
}

TEST_CASE("a simulated trace is the same each time", "[core][simulation]") {
  const auto run = [] {
    sim::World world{5};
    auto last = world.system().spawn<Op>();
    auto first = world.system().spawn<Op>(last);
    world.system().tracer().start();
    for (std::uint64_t i = 0; i < 20; ++i) first.send(Step{i});
    world.run_until_idle();
    std::string text = traced(world.system(), world.disk());
    // Where an actor lies in memory is not part of the simulation.
    for (std::size_t at = text.find("\"0x"); at != std::string::npos; at = text.find("\"0x", at))
      text.erase(at, text.find('"', at + 1) - at + 1);
    return text;
  };
  CHECK(run() == run());
}

TEST_CASE("tracing may begin and end while workers run", "[core][stress]") {
  sim::MemoryDisk disk;
  System system({.threads = 3});
  std::vector<Address<Step>> ops(1, system.spawn<Op>());
  for (int i = 0; i < 20; ++i) ops.push_back(system.spawn<Op>(ops.back()));
  for (int round = 0; round < 5; ++round) {
    system.tracer().start(1'000);
    for (std::uint64_t i = 0; i < 200; ++i) ops.back().send(Step{i});
    CHECK_THAT(traced(system, disk), ContainsSubstring("traceEvents"));
  }
}

}  // namespace troupe::testing
