#include "cluster.hpp"

#include <troupe/net/remote_child.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

namespace troupe::testing {

using Catch::Matchers::ContainsSubstring;

namespace {

/// A supervisor here of a counter there.
struct Supervised {
  explicit Supervised(std::int64_t from = 40, SupervisorOptions options = {}) {
    pair.there.network->offer<CounterArguments>(
        "counter", [](System& system, CounterArguments&& a) {
          if (a.from < 0) throw Error(ErrorCode::invalid_argument, "'from' is negative");
          return system.spawn<Counter>(a.from);
        });
    supervisor = pair.here.system.spawn<Supervisor>(
        std::vector{net::remote_child(
            "counter",
            *pair.here.network,
            "there",
            "counter",
            CounterArguments{from},
            [this](const Address<>& child) { made.push_back(child); },
            Restart::transient)},  // again only when it fails
        options);
    monitor(supervisor, pair.here.system.spawn<Watcher>(downs));
  }
  ~Supervised() {
    made.clear();
    troupe::stop(supervisor);
    supervisor = {};
  }
  [[nodiscard]] std::int64_t total() {
    const Address<Ask> counter(made.back().cell());
    return ask<Total>(counter, [](Address<Total> to) { return Ask{to}; }).get().value;
  }

  std::vector<Down> downs;
  std::vector<Address<>> made;
  Pair pair;
  Address<Down, Shutdown, StartChild, StartFailed> supervisor;
};

}  // namespace

TEST_CASE("a supervisor makes a child at a peer again when it fails", "[net]") {
  Supervised s;
  s.pair.wait([&] { return s.made.size() == 1; });
  Address<Add>(s.made[0].cell()).send(Add{2});
  CHECK(s.total() == 42);
  Address<Fail>(s.made[0].cell()).send(Fail{"broken"});
  s.pair.wait([&] { return s.made.size() == 2; });
  CHECK(s.made[0] != s.made[1]);
  CHECK(s.total() == 40);
  // The new one, and what stands there for who watches it.
  s.pair.wait([&] { return s.pair.there.system.actors_alive() == 2; });
  CHECK(s.downs.empty());
}

TEST_CASE("a supervisor that ends has ended its children at peers", "[net]") {
  Supervised s;
  SECTION("once they are there") {
    s.pair.wait([&] { return s.made.size() == 1; });
  }
  SECTION("while they are being made") {}
  s.supervisor.send(Shutdown{});
  s.pair.wait([&] { return s.downs.size() == 1; });
  CHECK_FALSE(s.downs[0].failed);
  s.pair.wait([&] { return s.pair.there.system.actors_alive() == 0; });
}

TEST_CASE("a child that a peer refuses is more than a supervisor cures", "[net]") {
  Supervised s(-1);
  s.pair.wait([&] { return s.downs.size() == 1; });
  CHECK(s.downs[0].failed);
  CHECK(s.downs[0].reason.code() == ErrorCode::actor_down);
  CHECK_THAT(s.downs[0].reason.what(), ContainsSubstring("'from' is negative"));
  CHECK(s.made.empty());
}

TEST_CASE("a peer that goes takes its children along, and the supervisor says so", "[net]") {
  Supervised s;
  s.pair.wait([&] { return s.made.size() == 1; });
  s.pair.there.network->stop();
  s.pair.wait([&] { return s.downs.size() == 1; });
  CHECK(s.downs[0].failed);
  CHECK_THAT(s.downs[0].reason.what(), ContainsSubstring("the last was of counter"));
  CHECK_THAT(s.downs[0].reason.what(), ContainsSubstring("there is no peer 'there'"));
}

}  // namespace troupe::testing
