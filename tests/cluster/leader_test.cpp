#include "fleet_world.hpp"

#include <troupe/cluster/leader.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <utility>

namespace troupe::testing {
namespace {

using namespace cluster;
using Followers = std::vector<std::unique_ptr<FollowerProcess>>;

Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("it throws nothing");
  return {};
}
bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// Counts up, and waits until so many have. Who vanished before the others are as far would take
/// their last step from them.
void wait_for_all(std::atomic<int>& there, int all, Node& here) {
  ++there;
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (there < all && std::chrono::steady_clock::now() < until) {
    here.system.run_ready();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// Vanishes before a step.
struct Lost {
  explicit Lost(const std::string& name, std::int64_t steps, std::int64_t at)
      : process(std::make_unique<FollowerProcess>(
            name, FollowerSetup{.steps = steps, .before = [this, at](SmallRun& run) {
                                  if (run.step() == at) process_now.load()->vanish();
                                }})) {
    process_now = process.get();
  }
  std::unique_ptr<FollowerProcess> process;
  std::atomic<FollowerProcess*> process_now{nullptr};
};

}  // namespace

TEST_CASE("a leader refuses what cannot be", "[cluster]") {
  const net::Endpoint one{"127.0.0.1", 1};
  const net::Endpoint other{"127.0.0.1", 2};
  Error few = error_of([&] { LeaderProcess("leader", {.followers = {one, other}, .shards = 2}); });
  CHECK(few.code() == ErrorCode::invalid_argument);
  CHECK(few.message() == "2 shards for 3 processes, this one counted");
  CHECK(has(few.hint(), "--shards 3"));
  Error twice = error_of([&] { LeaderProcess("leader", {.followers = {one, other, one}}); });
  CHECK(twice.code() == ErrorCode::invalid_argument);
  CHECK(twice.message() == "peer 127.0.0.1:1 is given twice");
}

TEST_CASE("followers that are not there are named", "[cluster]") {
  Followers followers;
  followers.push_back(std::make_unique<FollowerProcess>("worker-1", FollowerSetup{.steps = 5}));
  // A port that was free a moment ago.
  const net::Endpoint nobody = std::make_unique<FollowerProcess>("worker-2", FollowerSetup{})->at();
  LeaderOptions options = leading(followers);
  options.followers.push_back(nobody);
  options.join_ns = 1'000'000'000;
  LeaderProcess leader("leader", options);
  SmallRun run(5);
  const Error error = error_of([&] { (void)leader.lead(run); });
  CHECK(error.code() == ErrorCode::timed_out);
  CAPTURE(error.message());
  CHECK(
      has(error.message(),
          "2 of 3 processes are here after 1 s; missing: " + net::to_string(nobody) + ": "));
  CHECK_FALSE(has(error.message(), "no answer yet"));
  CHECK(has(error.hint(), "troupe peer --listen"));
}

TEST_CASE("a refused invitation ends the gathering with the follower's reason", "[cluster]") {
  Followers followers;
  followers.push_back(std::make_unique<FollowerProcess>(
      "worker-1", FollowerSetup{.make_run = [](const RunTerms& terms) -> std::unique_ptr<Run> {
        throw Error(ErrorCode::peer_mismatch, "other data than " + terms.config)
            .hint("copy the files");
      }}));
  LeaderProcess leader("leader", leading(followers));
  SmallRun run(5);
  const auto began = std::chrono::steady_clock::now();
  const Error error = error_of([&] { (void)leader.lead(run); });
  CHECK(error.code() == ErrorCode::peer_mismatch);
  CHECK(
      error.message() == "peer 'worker-1' at " + net::to_string(followers[0]->at()) +
                             ": other data than a few numbers");
  CHECK(error.hint() == "copy the files");
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(5));
}

TEST_CASE("with fewer than half of a view left, nobody goes on", "[cluster]") {
  constexpr std::int64_t steps = 40;
  std::atomic<int> gone{0};
  std::vector<FollowerProcess*> lost(3);
  Followers followers;
  for (std::size_t i = 0; i < 3; ++i)
    followers.push_back(std::make_unique<FollowerProcess>(
        "worker-" + std::to_string(i + 1),
        FollowerSetup{.steps = steps, .before = [&, i](SmallRun& run) {
                        if (run.step() != 7) return;
                        wait_for_all(gone, 3, lost[i]->node());
                        lost[i]->vanish();
                      }}));
  for (std::size_t i = 0; i < 3; ++i) lost[i] = followers[i].get();
  LeaderProcess leader("leader", leading(followers));
  // Hears of all three before it looks how many are left.
  SmallRun run(steps, [&](SmallRun& at) {
    if (at.step() != 7) return;
    leader.node().system.wait_until(
        [&] {
          const std::vector<FollowerStatus> known = leader.leader().followers();
          return std::none_of(known.begin(), known.end(), [](const FollowerStatus& follower) {
            return follower.joined;
          });
        },
        "three losses");
  });
  const Error error = error_of([&] { (void)leader.lead(run); });
  CAPTURE(error.message(), leader.said.all());
  CHECK(gone == 3);
  CHECK(error.code() == ErrorCode::peer_down);
  CHECK(has(error.message(), "1 of 4 processes are left, fewer than half; lost: "));
  CHECK(has(error.hint(), "--resume"));
  // It stands where its last whole step left it.
  CHECK(run.step() == 7);
  CHECK(run.bits() == bits_alone(7, 4));
}

// Goal: a leader that is cut off hears of one loss after another, and each alone would leave it
// more than half. Method: followers that vanish one in each view, before it makes a step.
TEST_CASE("with fewer than half of the last view that made a step, nobody goes on", "[cluster]") {
  constexpr std::int64_t steps = 40;
  std::atomic<int> at_7{0};
  std::atomic<std::size_t> gone{0};
  std::vector<FollowerProcess*> lost(3);
  Followers followers;
  for (std::size_t i = 0; i < 3; ++i)
    followers.push_back(std::make_unique<FollowerProcess>(
        "worker-" + std::to_string(i + 1),
        FollowerSetup{.steps = steps, .before = [&, i](SmallRun& run) {
                        if (run.step() != 7) return;
                        wait_for_all(at_7, 4, lost[i]->node());
                        if (gone < i) return;
                        gone = i + 1;
                        lost[i]->vanish();
                      }}));
  for (std::size_t i = 0; i < 3; ++i) lost[i] = followers[i].get();
  LeaderProcess leader("leader", leading(followers));
  SmallRun run(steps, [&](SmallRun& at) {
    if (at.step() == 7) ++at_7;
  });
  const Error error = error_of([&] { (void)leader.lead(run); });
  CAPTURE(error.message(), leader.said.all());
  CHECK(error.code() == ErrorCode::peer_down);
  CHECK(has(error.message(), "1 of 4 processes are left, fewer than half; lost: "));
  CHECK(run.bits() == bits_alone(7, 4));
}

// Goal: the leader hears of losses at any moment. Method: one that comes while it makes the state
// that the view begins with.
TEST_CASE("a follower that is lost before a view's first message is passed over", "[cluster]") {
  constexpr std::int64_t steps = 20;
  Followers followers;
  for (const std::string name : {"worker-1", "worker-2"})
    followers.push_back(std::make_unique<FollowerProcess>(name, FollowerSetup{.steps = steps}));
  LeaderProcess leader("leader", leading(followers));

  class Losing final : public Run {
   public:
    explicit Losing(std::function<void()> lose) : lose_(std::move(lose)) {}
    bool train(const View& view) override { return run_.train(view); }
    Bytes state() override {
      if (lose_) std::exchange(lose_, {})();
      return run_.state();
    }
    std::int64_t step() const override { return run_.step(); }
    std::string bits() { return run_.bits(); }

   private:
    std::function<void()> lose_;
    SmallRun run_{steps};
  };
  Losing run([&] {
    followers[0]->node().network->stop();
    leader.node().system.wait_until(
        [&] { return !leader.leader().followers()[0].joined; }, "a loss");
  });
  CHECK(leader.lead(run));
  CHECK(run.bits() == bits_alone(steps, 3));
  CHECK(leader.said.count("going on with 2 of 3 processes") == 1);
}

TEST_CASE("exactly half goes on, for the leader holds the run", "[cluster]") {
  constexpr std::int64_t steps = 30;
  Lost lost("worker-1", steps, 7);
  LeaderOptions options{.followers = {lost.process->at()}, .retry_ns = 50'000'000};
  LeaderProcess leader("leader", options);
  SmallRun run(steps);
  CHECK(leader.lead(run));
  CHECK(run.bits() == bits_alone(steps, 2));
  CHECK(leader.leader().ranks() == 1);
}

TEST_CASE("a leader that is to stop at a loss does", "[cluster]") {
  constexpr std::int64_t steps = 30;
  Lost lost("worker-1", steps, 7);
  LeaderOptions options{
      .followers = {lost.process->at()}, .on_loss = OnLoss::stop, .retry_ns = 50'000'000};
  LeaderProcess leader("leader", options);
  SmallRun run(steps);
  const Error error = error_of([&] { (void)leader.lead(run); });
  CHECK(error.code() == ErrorCode::peer_down);
  CHECK(has(error.message(), "--on-loss says stop: 'worker-1' at "));
  CHECK(run.step() == 7);
}

TEST_CASE("a leader that is to wait at a loss does", "[cluster]") {
  constexpr std::int64_t steps = 30;
  Lost lost("worker-1", steps, 7);
  LeaderOptions options{
      .followers = {lost.process->at()}, .on_loss = OnLoss::wait, .retry_ns = 50'000'000};
  LeaderProcess leader("leader", options);
  std::unique_ptr<FollowerProcess> back;
  std::int64_t waited_at = -1;
  SmallRun run(steps);
  std::thread helper([&] {
    while (leader.said.count("waiting for it to come back") == 0 || !lost.process->vanished())
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    waited_at = run.step();
    back = std::make_unique<FollowerProcess>(
        "worker-1",
        FollowerSetup{.port = lost.process->at().port, .incarnation = 2, .steps = steps});
  });
  CHECK(leader.lead(run));
  helper.join();
  CHECK(waited_at == 7);
  CHECK(run.bits() == bits_alone(steps, 2));
  CHECK(leader.leader().ranks() == 2);
  CHECK(back->said.count("the run has ended, after step 30") == 1);
}

TEST_CASE("a stop that people ask for ends a run between two steps, everywhere", "[cluster]") {
  constexpr std::int64_t steps = 1000;
  Followers followers;
  for (const std::string name : {"worker-1", "worker-2"})
    followers.push_back(std::make_unique<FollowerProcess>(name, FollowerSetup{.steps = steps}));
  std::stop_source stop;
  LeaderOptions options = leading(followers);
  options.stop = stop.get_token();
  LeaderProcess leader("leader", options);

  // What trains looks for it itself, as the program's does.
  class Stopping final : public Run {
   public:
    Stopping(SmallRun& run, std::stop_token asked) : run_(run), asked_(std::move(asked)) {}
    bool train(const View& view) override {
      std::stop_source either;
      const std::stop_callback changed(view.stop, [&] { either.request_stop(); });
      const std::stop_callback asked(asked_, [&] { either.request_stop(); });
      View with = view;
      with.stop = either.get_token();
      return run_.train(with);
    }
    Bytes state() override { return run_.state(); }
    std::int64_t step() const override { return run_.step(); }

   private:
    SmallRun& run_;
    std::stop_token asked_;
  };
  SmallRun run(steps, [&](SmallRun& at) {
    if (at.step() == 20) stop.request_stop();
  });
  Stopping stopping(run, stop.get_token());
  CHECK_FALSE(leader.lead(stopping));
  CHECK(run.step() == 21);
  CHECK(run.bits() == bits_alone(21, 3));
  for (const auto& follower : followers) {
    CAPTURE(follower->said.all());
    CHECK(follower->said.count("the run has ended") == 1);
  }
}

}  // namespace troupe::testing
