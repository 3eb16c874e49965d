#include "messages.hpp"
#include "support/proof.hpp"

#include <troupe/core/sim.hpp>
#include <troupe/core/supervisor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <cstdio>
#include <map>
#include <random>
#include <set>

namespace troupe::testing {
namespace {

/// Who started and ended, in order: "+a" and "-a"; and where they are now.
struct Journal {
  std::vector<std::string> lines;
  std::map<std::string, Address<Fault>> now;
  std::map<std::string, int> failing_starts;  // how many more starts throw
};

/// Lets go of the addresses before the world does: declared after it.
struct LetGo {
  Journal& journal;
  ~LetGo() { journal.now.clear(); }
};

class Child final : public Actor<Fault> {
 public:
  Child(std::string its_name, Journal& journal) : name_(std::move(its_name)), journal_(journal) {
    journal_.lines.push_back("+" + name_);
  }
  ~Child() { journal_.lines.push_back("-" + name_); }

 private:
  friend ActorAccess;
  void on(Fault&& fault) { throw Error(ErrorCode::op_failed, fault.what); }
  std::string name_;
  Journal& journal_;
};

ChildSpec child(std::string name, Journal& journal, Restart restart = Restart::permanent) {
  return {
      name,
      [name, &journal](System& system) {
        if (journal.failing_starts[name]-- > 0) throw Error(ErrorCode::file_io, "cannot start");
        auto address = system.spawn_named<Child>(name, name, journal);
        journal.now[name] = address;
        return Address<>(address);
      },
      restart};
}

/// What a supervisor should do, in a few lines: everything happens at once and in order.
class Model {
 public:
  Model(std::vector<Restart> kinds, SupervisorOptions options) : options_(options) {
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      kids_.push_back({std::string(1, static_cast<char>('a' + i)), kinds[i], true});
      log("+", kids_.back());
    }
  }

  void ended(const std::string& name, bool failed, std::int64_t now_ns) {
    std::size_t i = 0;
    while (kids_[i].name != name) ++i;
    kids_[i].alive = false;
    log("-", kids_[i]);
    const Restart kind = kids_[i].kind;
    if (kind == Restart::temporary) kids_.erase(kids_.begin() + static_cast<std::ptrdiff_t>(i));
    if (kind == Restart::temporary || (kind == Restart::transient && !failed)) return;
    std::erase_if(
        restarts_, [&](std::int64_t then) { return now_ns - then >= options_.period_ns; });
    restarts_.push_back(now_ns);
    const bool gives_up = restarts_.size() > options_.restarts_max;
    const std::size_t from = options_.strategy == Strategy::one_for_all || gives_up ? 0 : i;
    const std::size_t to =
        options_.strategy == Strategy::one_for_one && !gives_up ? i + 1 : kids_.size();
    std::vector<std::string> again;
    for (std::size_t k = from; k < to; ++k)
      if (kids_[k].kind != Restart::temporary) again.push_back(kids_[k].name);
    for (std::size_t k = to; k-- > from;) {
      if (!std::exchange(kids_[k].alive, false)) continue;
      log("-", kids_[k]);
      if (kids_[k].kind == Restart::temporary)
        kids_.erase(kids_.begin() + static_cast<std::ptrdiff_t>(k));
    }
    if (gives_up) {
      alive = false;
      return;
    }
    for (Kid& kid : kids_) {
      if (std::find(again.begin(), again.end(), kid.name) == again.end()) continue;
      kid.alive = true;
      log("+", kid);
    }
  }

  std::vector<std::string> running() const {
    std::vector<std::string> names;
    for (const Kid& kid : kids_)
      if (kid.alive) names.push_back(kid.name);
    return names;
  }

  std::vector<std::string> lines;
  bool alive = true;

 private:
  struct Kid {
    std::string name;
    Restart kind;
    bool alive;
  };
  void log(const char* what, const Kid& kid) { lines.push_back(what + kid.name); }

  SupervisorOptions options_;
  std::vector<Kid> kids_;
  std::vector<std::int64_t> restarts_;
};

}  // namespace

namespace {

/// What children of one supervisor did, and its model.
struct Storm {
  std::uint64_t crashes = 0;
  bool gave_up = false;
};

/// Random events, each run to its end before the next, under a random schedule.
Storm storm(Strategy strategy, std::uint64_t seed) {
  CAPTURE(seed);
  Storm happened;
  std::mt19937_64 draw(seed);
  Journal journal;
  sim::World world{seed};
  const LetGo let_go{journal};
  System& system = world.system();
  SupervisorOptions options;
  options.strategy = strategy;
  options.restarts_max = static_cast<unsigned>(draw() % 5);
  options.period_ns = 1'000;
  std::vector<Restart> kinds;
  std::vector<ChildSpec> specs;
  for (std::size_t i = 0; i < 1 + seed % 5; ++i) {
    kinds.push_back(static_cast<Restart>(draw() % 3));
    specs.push_back(child(std::string(1, static_cast<char>('a' + i)), journal, kinds.back()));
  }
  Model model(kinds, options);
  auto supervisor = system.spawn<Supervisor>(specs, options);
  world.run_until_idle();
  REQUIRE(journal.lines == model.lines);

  for (int event = 0; event < 30 && model.alive; ++event) {
    if (draw() % 3 == 0) world.run_for(static_cast<std::int64_t>(draw() % 800));
    const std::vector<std::string> running = model.running();
    if (running.empty()) break;
    const std::string name = running[draw() % running.size()];
    const bool fails = draw() % 2;
    if (fails)
      journal.now[name].send(Fault{"broken"});
    else
      stop(journal.now[name]);
    world.run_until_idle();
    model.ended(name, fails, world.clock().now_ns());
    happened.crashes += fails;
    REQUIRE(journal.lines == model.lines);
    REQUIRE(supervisor.cell()->stopped() == !model.alive);
  }
  happened.gave_up = !model.alive;
  if (model.alive) {
    const std::vector<std::string> running = model.running();
    supervisor.send(Shutdown{});
    world.run_until_idle();
    for (auto name = running.rbegin(); name != running.rend(); ++name)
      model.lines.push_back("-" + *name);
    CHECK(journal.lines == model.lines);
    CHECK(supervisor.cell()->stopped());
  }
  return happened;
}

}  // namespace

// Goal: promise 9: whatever happens to the children, the supervisor does what the model does, in
// that order; and it gives up when there are too many restarts.
TEST_CASE("a supervisor follows its model through storms of crashes", "[core][simulation]") {
  const auto strategy =
      GENERATE(Strategy::one_for_one, Strategy::one_for_all, Strategy::rest_for_one);
  std::uint64_t crashes = 0;
  std::uint64_t gave_up = 0;
  std::uint64_t seed = 0;
  while (crashes < troupe::testing::share(100'000)) {
    const Storm one = storm(strategy, ++seed);
    crashes += one.crashes;
    gave_up += one.gave_up;
  }
  CHECK(gave_up > seed / 10);
  CHECK(gave_up < seed);
  std::printf(
      "crashes: %llu under %llu supervisors, %llu of which gave up\n",
      static_cast<unsigned long long>(crashes),
      static_cast<unsigned long long>(seed),
      static_cast<unsigned long long>(gave_up));
}

// Goal: failures that come while others are being ended are neither lost nor counted twice.
// Method: several children fail at once; in the end each that must run runs exactly once.
TEST_CASE("failures at the same time are all cured", "[core][simulation]") {
  const auto seed = GENERATE(take(200, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  std::mt19937_64 draw(seed);
  Journal journal;
  sim::World world{seed};
  const LetGo let_go{journal};
  SupervisorOptions options;
  options.strategy = static_cast<Strategy>(draw() % 3);
  options.restarts_max = 1'000;
  std::vector<ChildSpec> specs;
  for (char c = 'a'; c < 'f'; ++c) specs.push_back(child(std::string(1, c), journal));
  auto supervisor = world.system().spawn<Supervisor>(specs, options);
  world.run_until_idle();
  for (int round = 0; round < 5; ++round) {
    for (const auto& [name, address] : journal.now)
      if (draw() % 2) address.send(Fault{"broken"});
    if (draw() % 2) journal.failing_starts["c"] = static_cast<int>(draw() % 3);
    world.run_until_idle();
    std::map<std::string, int> alive;
    for (const std::string& line : journal.lines) alive[line.substr(1)] += line[0] == '+' ? 1 : -1;
    for (char c = 'a'; c < 'f'; ++c) REQUIRE(alive[std::string(1, c)] == 1);
  }
  CHECK_FALSE(supervisor.cell()->stopped());
}

TEST_CASE("too many restarts go up the tree", "[core]") {
  Journal journal;
  sim::World world{7};
  const LetGo let_go{journal};
  std::vector<ChildSpec> inner;
  inner.push_back(child("worker", journal));
  std::vector<ChildSpec> outer;
  outer.push_back(child("before", journal));
  outer.push_back(supervisor_child("inner", inner, {.restarts_max = 1}));
  auto top = world.system().spawn<Supervisor>(
      outer, SupervisorOptions{.strategy = Strategy::one_for_all, .restarts_max = 1});
  world.run_until_idle();
  auto fail = [&] {
    journal.lines.clear();
    journal.now["worker"].send(Fault{"broken"});
    world.run_until_idle();
  };
  fail();
  CHECK(journal.lines == std::vector<std::string>{"-worker", "+worker"});
  fail();  // the second within the period: the inner one gives up, the outer one starts all again
  CHECK(journal.lines == std::vector<std::string>{"-worker", "-before", "+before", "+worker"});
  fail();
  fail();  // and then the outer one
  CHECK(journal.lines == std::vector<std::string>{"-worker", "-before"});
  CHECK(top.cell()->stopped());
}

TEST_CASE("shutdown ends a tree from its leaves", "[core][simulation]") {
  const auto seed = GENERATE(take(50, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  Journal journal;
  sim::World world{seed};
  const LetGo let_go{journal};
  std::vector<ChildSpec> inner;
  inner.push_back(child("x", journal));
  inner.push_back(child("y", journal));
  std::vector<ChildSpec> outer;
  outer.push_back(child("a", journal));
  outer.push_back(supervisor_child("inner", inner));
  outer.push_back(child("b", journal));
  auto top = world.system().spawn<Supervisor>(outer);
  world.run_until_idle();
  top.send(Shutdown{});
  world.run_until_idle();
  CHECK(journal.lines == std::vector<std::string>{"+a", "+x", "+y", "+b", "-b", "-y", "-x", "-a"});
}

TEST_CASE("a child added later is supervised too", "[core]") {
  Journal journal;
  sim::World world{7};
  const LetGo let_go{journal};
  auto top = world.system().spawn<Supervisor>(std::vector<ChildSpec>{});
  top.send(StartChild{child("late", journal)});
  world.run_until_idle();
  journal.now["late"].send(Fault{"broken"});
  world.run_until_idle();
  CHECK(journal.lines == std::vector<std::string>{"+late", "-late", "+late"});
}

TEST_CASE("a child that cannot be started is tried again, whatever it throws", "[core]") {
  Journal journal;
  sim::World world{7};
  const LetGo let_go{journal};
  auto top = world.system().spawn<Supervisor>(std::vector<ChildSpec>{});
  for (const int kind : {0, 1, 2}) {
    ChildSpec spec = child("c" + std::to_string(kind), journal);
    spec.start = [kind, tries = 0, start = spec.start](System& system) mutable {
      if (tries++ == 0) {
        if (kind == 0) throw Error(ErrorCode::file_io, "cannot start");
        if (kind == 1) throw std::runtime_error("cannot start");
        throw 3;
      }
      return start(system);
    };
    top.send(StartChild{std::move(spec)});
    world.run_until_idle();
    CHECK(journal.lines.size() == static_cast<std::size_t>(kind) + 1);
    CHECK_FALSE(top.cell()->stopped());
  }
}

TEST_CASE("a temporary child whose start throws is left alone", "[core]") {
  Journal journal;
  journal.failing_starts["once"] = 1;
  sim::World world{7};
  const LetGo let_go{journal};
  auto top = world.system().spawn<Supervisor>(std::vector<ChildSpec>{});
  top.send(StartChild{child("once", journal, Restart::temporary)});
  world.run_until_idle();
  CHECK(journal.lines.empty());
  CHECK(journal.failing_starts["once"] == 0);  // nobody tried again
  top.send(StartChild{child("other", journal)});
  top.send(Shutdown{});
  world.run_until_idle();
  CHECK(journal.lines == std::vector<std::string>{"+other", "-other"});
  CHECK(top.cell()->stopped());
}

TEST_CASE("a supervisor whose child cannot start ends those before it and throws", "[core]") {
  Journal journal;
  journal.failing_starts["b"] = 1;
  sim::World world{7};
  const LetGo let_go{journal};
  std::vector<ChildSpec> specs;
  specs.push_back(child("a", journal));
  specs.push_back(child("b", journal));
  CHECK_THROWS_AS(world.system().spawn<Supervisor>(specs), Error);
  world.run_until_idle();
  CHECK(journal.lines == std::vector<std::string>{"+a", "-a"});
  journal.now.clear();
  world.run_until_idle();
  CHECK(world.system().actors_alive() == 0);
  CHECK(world.system().blocks_in_use() == 0);
}

}  // namespace troupe::testing
