#include "cluster.hpp"

#include <troupe/net/sim_links.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <set>
#include <string>
#include <vector>

namespace troupe::testing {
namespace {

using Catch::Matchers::ContainsSubstring;
using sim::Death;

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t second = 1000 * ms;

net::Network& join(sim::Links& links, sim::Process& self) {
  net::NetworkOptions options;
  options.node = self.name();
  options.incarnation = self.life();
  options.messages = {&Known::find};
  options.transport = links.of(self);
  return net::attach(self.system(), std::move(options));
}

/// Counts, for an address must not outlive its process.
class Ends final : public Actor<Down> {
 public:
  Ends(int& count, Error& reason) : count_(count), reason_(reason) {}

 private:
  friend ActorAccess;
  void on(const Down& down) {
    ++count_;
    reason_ = down.reason;
  }
  int& count_;
  Error& reason_;
};

/// A process with a counter, and one that adds to it, ten times in each tenth of a second, and is
/// told when the other is down.
struct Conversation {
  explicit Conversation(std::uint64_t seed, sim::LinkFaults faults = {})
      : cluster(seed), links(cluster) {
    links.set_faults(faults);
    server = cluster.start("server", [this](sim::Process& self) { serve(self); });
    client = cluster.start("client", [this](sim::Process& self) { count(self); });
  }

  void serve(sim::Process& self) {
    net::Network& network = join(links, self);
    network.listen({"server", 7000});
    network.publish("counter", self.system().spawn<Counter>());
    self.system().wait_until([this] { return ends; }, "the end");
  }
  void count(sim::Process& self) {
    System& system = self.system();
    net::Network& network = join(links, self);
    const std::string node = network.connect({"server", 7000}).get().node;
    const auto counter = network.find(node, "counter").get().as<Add, Ask>();
    const auto watcher = system.spawn<Ends>(downs, down_reason);
    monitor(counter, watcher);
    try {
      for (int i = 0; i < rounds; ++i) {
        for (int j = 0; j < 10; ++j) counter.send(Add{1});
        total = ask<Total>(counter, [](Address<Total> to) { return Ask{to}; }).get().value;
        self.sleep(100 * ms);
      }
    } catch (const Error&) {  // nobody answers; the watcher says why
    }
    system.wait_until([this] { return ends || downs > 0; }, "the end");
    if (downs > 0) down_ns = cluster.now_ns();
  }
  /// The virtual time that passed when it was down; −1: it was not, in a minute.
  std::int64_t down_after(const std::function<void()>& what) {
    cluster.at(second, what);
    cluster.run_until([&] { return down_ns > 0; }, 60 * second);
    return down_ns > 0 ? down_ns - second : -1;
  }
  /// Whether all that was added has arrived once.
  bool whole() {
    return cluster.run_until([&] { return total == rounds * 10; }, cluster.now_ns() + 60 * second);
  }

  static constexpr int rounds = 50;
  sim::Cluster cluster;
  sim::Links links;
  std::shared_ptr<sim::Process> server;
  std::shared_ptr<sim::Process> client;
  bool ends = false;
  int downs = 0;
  Error down_reason;
  std::int64_t total = 0;
  std::int64_t down_ns = 0;
};

}  // namespace

TEST_CASE("actors of simulated processes are used like local ones", "[net][simulation]") {
  Conversation talk(1);
  CHECK(talk.whole());
  CHECK(talk.links.counters().connections == 2);  // its lanes
  // Each says farewell, and is heard, before its time for that is over.
  const auto both_ended = [&] { return !talk.server->alive() && !talk.client->alive(); };
  const std::int64_t began_ns = talk.cluster.now_ns();
  talk.cluster.tell(*talk.client, [&] { talk.ends = true; });
  talk.cluster.tell(*talk.server, [] {});
  CHECK(talk.cluster.run_until(both_ended, began_ns + 400 * ms));
}

TEST_CASE("a seed fixes what a simulated network does", "[net][simulation]") {
  std::set<std::uint64_t> histories;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const auto history_of = [&] {
      Conversation talk(seed, {.delay_ns_max = 20 * ms, .cut = 0.05, .refuse = 0.1});
      (void)talk.whole();
      return talk.cluster.history();
    };
    const std::uint64_t history = history_of();
    CHECK(history == history_of());
    histories.insert(history);
  }
  CHECK(histories.size() == 20);
}

TEST_CASE("cut and refused connections lose nothing", "[net][simulation]") {
  sim::Links::Counters sum;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Conversation talk(seed, {.delay_ns_max = 5 * ms, .cut = 0.05, .refuse = 0.2});
    CHECK(talk.whole());
    CHECK(talk.downs == 0);
    sum.cut += talk.links.counters().cut;
    sum.refused += talk.links.counters().refused;
  }
  CHECK(sum.cut > 30);
  CHECK(sum.refused > 30);
}

TEST_CASE("a frozen connection is given up and another carries on", "[net][simulation]") {
  std::uint64_t frozen = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    Conversation talk(seed);
    talk.cluster.at(second, [&] { talk.links.set_faults({.freeze = 0.3}); });
    talk.cluster.at(second + 200 * ms, [&] { talk.links.set_faults({}); });
    CHECK(talk.whole());
    frozen += talk.links.counters().frozen;
  }
  CHECK(frozen > 30);
}

TEST_CASE("a blocked way holds back, and both ends find out in time", "[net][simulation]") {
  SECTION("for two seconds: nothing is lost") {
    Conversation talk(2);
    talk.cluster.at(second, [&] { talk.links.block("client", "server"); });
    talk.cluster.at(3 * second, [&] { talk.links.heal(); });
    CHECK(talk.whole());
  }
  SECTION("for good, to the peer") {
    Conversation talk(3);
    const std::int64_t after_ns = talk.down_after([&] { talk.links.block("client", "server"); });
    CHECK(after_ns > 0);
    CHECK(after_ns < 7 * second);  // its own heartbeats still come, until the peer gives up
  }
  SECTION("for good, from the peer") {
    Conversation talk(4);
    const std::int64_t after_ns = talk.down_after([&] { talk.links.block("server", "client"); });
    CHECK(after_ns > 2500 * ms);
    CHECK(after_ns < 3500 * ms);
  }
}

TEST_CASE("the end of a simulated process is seen as that of a real one", "[net][simulation]") {
  SECTION("killed") {
    Conversation talk(5);
    const std::int64_t after_ns =
        talk.down_after([&] { talk.links.kill(*talk.server, Death::process); });
    CHECK(after_ns > 0);
    CHECK(after_ns < 250 * ms);
  }
  SECTION("with its machine") {
    Conversation talk(6);
    const std::int64_t after_ns =
        talk.down_after([&] { talk.links.kill(*talk.server, Death::machine); });
    CHECK(after_ns > 2500 * ms);
    CHECK(after_ns < 3500 * ms);
  }
  SECTION("with its machine, and started again at once") {
    Conversation talk(7);
    const std::int64_t after_ns = talk.down_after([&] {
      talk.links.kill(*talk.server, Death::machine);
      talk.server = talk.cluster.start("server", [&](sim::Process& self) { talk.serve(self); });
    });
    CHECK(after_ns > 0);
    CHECK(after_ns < 1500 * ms);  // its new life knows of no such conversation
  }
  SECTION("stopped for good") {
    Conversation talk(8);
    const std::int64_t after_ns = talk.down_after([&] { talk.cluster.stop(*talk.server); });
    CHECK(after_ns > 2500 * ms);
    CHECK(after_ns < 3500 * ms);
  }
  SECTION("stopped for a while") {
    Conversation talk(9);
    talk.cluster.at(second, [&] { talk.cluster.stop(*talk.server); });
    talk.cluster.at(3 * second, [&] { talk.cluster.go_on(*talk.server); });
    CHECK(talk.whole());
  }
}

TEST_CASE("a process that hangs is down, though it answers", "[net][simulation]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Conversation talk(seed, {.delay_ns_max = 5 * ms});
    const std::int64_t after_ns = talk.down_after([&] { talk.cluster.hang(*talk.server); });
    // Counted from the heartbeat that first told of work, which is sent each quarter of a second.
    CHECK(after_ns > 29 * second);
    CHECK(after_ns < 31 * second);
    CHECK(talk.downs == 1);
    CHECK(talk.down_reason.code() == ErrorCode::peer_hung);
    CHECK_THAT(talk.down_reason.message(), ContainsSubstring("peer 'server': it hangs"));
  }
}

TEST_CASE("a process that has nothing to do does not hang", "[net][simulation]") {
  Conversation talk(1);
  CHECK(talk.whole());
  CHECK_FALSE(
      talk.cluster.run_until([&] { return talk.downs > 0; }, talk.cluster.now_ns() + 600 * second));
}

TEST_CASE("a simulated host listens by its own name, once at a port", "[net][simulation]") {
  sim::Cluster cluster(10);
  sim::Links links(cluster);
  const auto process = cluster.start("a", [&](sim::Process& self) {
    net::Network& network = join(links, self);
    CHECK(network.listen({"a", 0}).port != 0);
    CHECK(network.listen({"a", 7000}) == Endpoint{"a", 7000});
    CHECK_THROWS_WITH(network.listen({"a", 7000}), ContainsSubstring("port 7000 is taken"));
    CHECK_THROWS_WITH(network.listen({"b", 7000}), ContainsSubstring("none of this machine's"));
    CHECK_THROWS_AS(network.connect({"a", 7001}).get(), Error);
  });
  CHECK(cluster.run_until([&] { return !process->alive(); }, 60 * second));
  CHECK_FALSE(process->error());
}

}  // namespace troupe::testing
