#include "fleet_world.hpp"

#include <troupe/cluster/follower.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <chrono>
#include <utility>

namespace troupe::testing {
namespace {

using namespace cluster;
using Followers = std::vector<std::unique_ptr<FollowerProcess>>;

bool soon(const std::function<bool()>& so) {
  for (int i = 0; i < 5'000; ++i) {
    if (so()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

/// Leads until the step before which it is gone, without a word to the followers.
void lead_until(
    const std::string& name, const LeaderOptions& options, std::int64_t steps, std::int64_t gone) {
  LeaderProcess leader(name, options);
  SmallRun run(steps, [&](SmallRun& at) {
    if (at.step() != gone) return;
    leader.node().network->stop();
    throw Error(ErrorCode::op_failed, "this process is gone");
  });
  try {
    (void)leader.lead(run);
    FAIL("the leader is not gone");
  } catch (const Error& error) {
    CHECK(error.message() == "this process is gone");
  }
}

}  // namespace

TEST_CASE("what a follower's run throws reaches the leader and names it", "[cluster]") {
  constexpr std::int64_t steps = 40;
  const auto at = GENERATE(0, 13);
  Followers followers;
  followers.push_back(std::make_unique<FollowerProcess>("worker-1", FollowerSetup{.steps = steps}));
  followers.push_back(std::make_unique<FollowerProcess>(
      "worker-2",
      FollowerSetup{
          .steps = steps, .before = [&](SmallRun& run) {
            if (run.step() == at)
              throw Error(ErrorCode::device_lost, "the card is gone").hint("another card");
          }}));
  {
    LeaderProcess leader("leader", leading(followers));
    SmallRun run(steps);
    try {
      (void)leader.lead(run);
      FAIL("it throws nothing");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::device_lost);
      CHECK(
          error.message() ==
          "peer 'worker-2' at " + net::to_string(followers[1]->at()) + ": the card is gone");
      CHECK(error.hint() == "another card");
    }
    // It may hear of the failure before it has the last sum: those go by other lanes.
    CHECK(run.step() <= at);
    CHECK(run.step() >= at - 1);
  }
  CHECK(followers[1]->said.count("left the view: the card is gone") == 1);
  // Both are there for the next leader.
  followers[1].reset();
  followers.pop_back();
  LeaderProcess next("another-leader", leading(followers), small_terms(5));
  SmallRun run(steps);
  CHECK(next.lead(run));
  CHECK(run.bits() == bits_alone(steps, 2));
}

// Goal: promise 2 where it is the leader that is lost.
TEST_CASE("a leader that is started again goes on from the followers' state", "[cluster]") {
  constexpr std::int64_t steps = 50;
  Followers followers;
  for (const std::string name : {"worker-1", "worker-2"})
    followers.push_back(std::make_unique<FollowerProcess>(name, FollowerSetup{.steps = steps}));
  lead_until("leader-a", leading(followers), steps, 20);
  for (const auto& follower : followers) {
    CAPTURE(follower->said.all());
    CHECK(soon([&] { return follower->said.count("keeping step ") == 1; }));
  }
  // All of its own that it has is the beginning.
  LeaderProcess leader("leader-b", leading(followers));
  SmallRun run(steps);
  CHECK(leader.lead(run));
  CAPTURE(leader.said.all());
  CHECK(leader.said.count(", this process 0: going on from its state") == 1);
  CHECK(leader.said.count(" has step 20") + leader.said.count(" has step 19") == 1);
  CHECK(run.bits() == bits_alone(steps, 3));
}

TEST_CASE("another run takes the place of the one that was kept", "[cluster]") {
  constexpr std::int64_t steps = 30;
  Followers followers;
  followers.push_back(std::make_unique<FollowerProcess>("worker-1", FollowerSetup{.steps = steps}));
  lead_until("leader-a", leading(followers), steps, 20);
  LeaderProcess leader("leader-b", leading(followers), small_terms(small_run + 1));
  SmallRun run(steps);
  CHECK(leader.lead(run));
  CHECK(leader.said.count("going on from its state") == 0);
  CHECK(run.bits() == bits_alone(steps, 2));
  CHECK(followers[0]->orphans().empty());
}

TEST_CASE("a run that no leader comes back for can be saved", "[cluster]") {
  constexpr std::int64_t steps = 30;
  Followers followers;
  followers.push_back(std::make_unique<FollowerProcess>(
      "worker-1", FollowerSetup{.leader_timeout_ns = 200'000'000, .steps = steps}));
  lead_until("leader-a", leading(followers), steps, 20);
  REQUIRE(soon([&] { return followers[0]->orphans().size() == 1; }));
  CHECK(
      (followers[0]->orphans()[0] == bits_alone(20, 2) ||
       followers[0]->orphans()[0] == bits_alone(19, 2)));
  // Nothing of it is kept.
  LeaderProcess leader("leader-b", leading(followers));
  SmallRun run(steps);
  CHECK(leader.lead(run));
  CHECK(leader.said.count("going on from its state") == 0);
  CHECK(run.bits() == bits_alone(steps, 2));
  CHECK(followers[0]->orphans().size() == 1);
}

// Goal: a leader that has been replaced does not train on behind the new one's back.
TEST_CASE("a leader whose followers another has taken is fenced off", "[cluster]") {
  constexpr std::int64_t steps = 400;
  Followers followers;
  followers.push_back(std::make_unique<FollowerProcess>("worker-1", FollowerSetup{.steps = steps}));
  std::atomic<bool> under_way{false};
  std::optional<Error> ended;
  std::thread first([&] {
    LeaderProcess leader("leader-a", leading(followers));
    SmallRun run(steps, [&](SmallRun& at) {
      under_way = at.step() > 5;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    });
    try {
      (void)leader.lead(run);
    } catch (const Error& error) {
      ended = error;
    }
  });
  REQUIRE(soon([&] { return under_way.load(); }));
  LeaderProcess leader("leader-b", leading(followers), small_terms(small_run, 2));
  SmallRun run(steps);
  CHECK(leader.lead(run));
  first.join();
  CHECK(run.bits() == bits_alone(steps, 2));
  REQUIRE(ended);
  CHECK(ended->code() == ErrorCode::fenced);
  CHECK(
      ended->message() == "peer 'worker-1' at " + net::to_string(followers[0]->at()) +
                              ": it follows a later leader of this run");
}

}  // namespace troupe::testing
