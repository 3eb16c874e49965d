#include "pace.hpp"

#include <troupe/core/random.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace troupe::testing {
namespace {

using namespace cluster;

/// Steps of a simulated view, whose times come by seed.
class SimulatedRun {
 public:
  SimulatedRun(std::vector<std::uint32_t> shards, double noise, std::uint64_t seed)
      : shards_(shards), noise_(noise), random_(make_seeded_random(seed)), pace_(shards) {}

  /// A step more, in which a rank takes so many times as long as it would.
  /// @returns  who is named in it
  std::optional<Pace::Slow> step(std::uint32_t slowed = 0, double times = 1) {
    std::optional<Pace::Slow> named;
    for (std::uint32_t rank = 0; rank < shards_.size(); ++rank) {
      // Of a step's time some goes with its shards, some does not.
      double ns = 10e6 + 40e6 * shards_[rank];
      ns *= std::exp(noise_ * normal());
      // One in fifty is ten times as long at most: somebody saves, or the machine does something.
      if (uniform() < 0.02) ns *= 1 + 9 * uniform();
      if (rank == slowed) ns *= times;
      if (const auto slow = pace_.add(rank, step_, static_cast<std::int64_t>(ns))) named = slow;
    }
    ++step_;
    return named;
  }
  [[nodiscard]] const Pace& pace() const noexcept { return pace_; }
  [[nodiscard]] std::uint64_t draw(std::uint64_t below) { return random_->next() % below; }

 private:
  double uniform() { return static_cast<double>(random_->next() >> 11) * 0x1p-53; }
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

  std::vector<std::uint32_t> shards_;
  double noise_;
  std::unique_ptr<Random> random_;
  Pace pace_;
  std::uint64_t step_ = 1;
};

using Shards = std::vector<std::uint32_t>;

}  // namespace

// Goal: promise 12. Method: 100 runs each of several sizes, with noise and pauses by seed; one
// process takes 1.3 times as long from the run's beginning, or from somewhere in it.
TEST_CASE("a process slowed 1.3 times is named within 20 steps", "[cluster][simulation]") {
  const Shards shards = GENERATE(
      Shards{1, 1}, Shards{1, 1, 1}, Shards{1, 1, 1, 1}, Shards{2, 2, 1, 1}, Shards(16, 3));
  const bool from_the_beginning = GENERATE(true, false);
  CAPTURE(shards, from_the_beginning);
  int named = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SimulatedRun run(shards, 0.04, seed);
    const auto slowed = static_cast<std::uint32_t>(run.draw(shards.size()));
    bool right = true;
    if (!from_the_beginning)
      for (std::uint64_t left = 30 + run.draw(100); left > 0; --left) right = right && !run.step();
    std::optional<Pace::Slow> found;
    for (int step = 0; step < 20 && !found; ++step) found = run.step(slowed, 1.3);
    named += right && found && found->rank == slowed && found->times > 1.15 && found->times < 1.5;
  }
  CHECK(named >= 95);
}

TEST_CASE("among equals nobody is named", "[cluster][simulation]") {
  // Twenty of a hundred is more than steps of one machine differ by.
  const double noise = GENERATE(0.0, 0.02, 0.05, 0.2);
  const Shards shards =
      GENERATE(Shards{1, 1}, Shards{1, 1, 1}, Shards{2, 1}, Shards{2, 1, 1}, Shards{3, 3, 3, 2});
  CAPTURE(noise, shards);
  int runs_with_an_alarm = 0;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    SimulatedRun run(shards, noise, seed);
    bool any = false;
    for (int step = 0; step < 300; ++step) any = any || run.step();
    runs_with_an_alarm += any;
  }
  CHECK(runs_with_an_alarm <= (noise > 0.1 ? 2 : 0));
}

TEST_CASE("a slow process is named once, and again when it was as fast in between", "[cluster]") {
  SimulatedRun run({1, 1, 1}, 0.02, 1);
  const auto names = [&](int steps, double times) {
    int count = 0;
    for (int i = 0; i < steps; ++i) count += run.step(2, times).has_value();
    return count;
  };
  CHECK(names(60, 1.5) == 1);
  CHECK(run.pace().slow(2));
  CHECK(run.pace().times(2) > 1.4);
  CHECK(run.pace().times(2) < 1.6);
  CHECK_FALSE(run.pace().slow(1));
  // Almost as fast is not: it would be named again and again.
  CHECK(names(60, 1.11) == 0);
  CHECK(run.pace().slow(2));
  CHECK(names(60, 1) == 0);
  CHECK_FALSE(run.pace().slow(2));
  CHECK(names(60, 1.5) == 1);
}

TEST_CASE("two slow processes of four are both named", "[cluster]") {
  Pace pace({1, 1, 1, 1});
  std::vector<std::uint32_t> named;
  for (std::uint64_t step = 1; step <= 20; ++step)
    for (std::uint32_t rank = 0; rank < 4; ++rank)
      if (const auto slow = pace.add(rank, step, rank < 2 ? 130 : 100)) named.push_back(slow->rank);
  CHECK(named == std::vector<std::uint32_t>{0, 1});
}

TEST_CASE("with other numbers of shards, slow is who is it by any measure", "[cluster]") {
  // Twice as long for twice the shards, and as long for twice the shards: both may be.
  const std::int64_t first = GENERATE(200, 100);
  Pace pace({2, 1});
  for (std::uint64_t step = 1; step <= 40; ++step) {
    CHECK_FALSE(pace.add(0, step, first));
    CHECK_FALSE(pace.add(1, step, 100));
  }
  bool named = false;
  for (std::uint64_t step = 41; step <= 60; ++step) {
    (void)pace.add(1, step, 100);
    if (const auto slow = pace.add(0, step, 260)) named = slow->rank == 0;
  }
  CHECK(named);
}

TEST_CASE("what is not known makes nobody slow", "[cluster]") {
  Pace pace({1, 1});
  // The other one's times never come, and what there is of them must not grow.
  for (std::uint64_t step = 1; step <= 1000; ++step) CHECK_FALSE(pace.add(0, step, 100));
  CHECK(pace.own_ns(0) == 0);
  CHECK(pace.times(0) == 1);
  // A clock that stands still.
  Pace still({1, 1});
  for (std::uint64_t step = 1; step <= 100; ++step)
    for (std::uint32_t rank = 0; rank < 2; ++rank) CHECK_FALSE(still.add(rank, step, 0));
  CHECK(still.times(0) == 1);
  // Alone, and of another view.
  Pace alone({4});
  CHECK_FALSE(alone.add(0, 1, 100));
  CHECK_FALSE(alone.add(1, 1, 100));
  CHECK(alone.shards(0) == 4);
  CHECK(alone.shards(1) == 0);
  CHECK(Pace().times(0) == 1);
}

}  // namespace troupe::testing
