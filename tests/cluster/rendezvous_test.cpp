#include "net/cluster.hpp"

#include <troupe/cluster/messages.hpp>
#include <troupe/cluster/rendezvous.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace troupe::testing {
namespace {

constexpr std::int64_t second_ns = 1'000'000'000;

void add_messages(net::NetworkOptions& options) {
  options.messages.push_back(&cluster::find_message);
}

/// A process that announces itself to a master, in a thread of its own.
struct Announcing {
  Announcing(const std::string& name, Endpoint master, std::uint32_t rank, std::uint32_t world)
      : node(name, {}, {}, add_messages), thread([=, this] {
          try {
            cluster::announce(node.system, *node.network, master, rank, world, 7777, 5 * second_ns);
          } catch (const Error& error) {
            fault = error;
          }
          done = true;
        }) {}

  /// Runs the master until this one has its answer.
  std::optional<Error> end(Node& master) {
    while (!done) {
      master.system.wait_until([looks = 0]() mutable { return looks++ > 0; }, "a look");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    thread.join();
    return fault;
  }

  Node node;
  std::optional<Error> fault;
  std::atomic<bool> done{false};
  std::thread thread;
};

}  // namespace

TEST_CASE("processes that know the master alone find each other by rank", "[cluster][net]") {
  Node master("master", {}, {}, add_messages);
  const Endpoint at = master.network->listen({"127.0.0.1", 0});
  cluster::Rendezvous rendezvous(master.system, *master.network, 3);
  Announcing two("two", at, 2, 3);
  Announcing one("one", at, 1, 3);
  const std::vector<Endpoint> ends = rendezvous.gather(10 * second_ns);
  CHECK(ends == std::vector<Endpoint>(2, Endpoint{"127.0.0.1", 7777}));
  CHECK_FALSE(one.end(master));
  CHECK_FALSE(two.end(master));
}

TEST_CASE("a rank that is taken, or none of the world, is refused", "[cluster][net]") {
  Node master("master", {}, {}, add_messages);
  const Endpoint at = master.network->listen({"127.0.0.1", 0});
  cluster::Rendezvous rendezvous(master.system, *master.network, 3);
  Announcing first("first", at, 1, 3);
  Announcing outside("outside", at, 3, 3);
  Announcing other_world("other", at, 2, 4);
  try {
    (void)rendezvous.gather(3 * second_ns);
    FAIL("it did not throw");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::timed_out);
    CHECK(error.message().find("missing: 2") != std::string::npos);
  }
  CHECK_FALSE(first.end(master));
  Announcing second("second", at, 1, 3);
  for (Announcing* wrong : {&outside, &other_world, &second}) {
    const auto fault = wrong->end(master);
    REQUIRE(fault);
    CHECK(fault->code() == ErrorCode::invalid_argument);
    CHECK_FALSE(fault->hint().empty());
  }
}

}  // namespace troupe::testing
