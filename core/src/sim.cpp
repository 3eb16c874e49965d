#include <troupe/core/scheduler.hpp>
#include <troupe/core/sim.hpp>

#include <string>

namespace troupe::sim {

namespace {

enum Habit : unsigned { fair, newest_first, oldest_first, neglecting, habits };

}  // namespace

SeededPolicy::SeededPolicy(std::uint64_t seed) noexcept : state_(seed) {
  habit_ = static_cast<unsigned>(draw() % habits);
}

std::uint64_t SeededPolicy::draw() noexcept {
  // SplitMix64, as in random.cpp, without its lock.
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

std::size_t SeededPolicy::pick(std::size_t ready) noexcept {
  ++picks_;
  const std::uint64_t drawn = draw();
  // Every habit lapses now and then, or a loop that feeds itself would keep all others waiting.
  if (drawn % 8 == 0 || habit_ == fair) return (drawn >> 8) % ready;
  if (habit_ == newest_first) return ready - 1;
  if (habit_ == oldest_first) return 0;
  return ready == 1 ? 0 : 1 + (drawn >> 8) % (ready - 1);
}

bool SeededPolicy::run_now() noexcept { return draw() % 2 == 0; }

unsigned SeededPolicy::turn_messages() noexcept { return 1 + static_cast<unsigned>(draw() % 4); }

World::World(std::uint64_t seed)
    : seed_(seed),
      policy_(seed),
      clock_(make_simulated_clock()),
      random_(make_seeded_random(seed)),
      executor_(make_caller_executor()) {
  System::Options options;
  options.threads = 1;
  options.executor = executor_.get();
  options.clock = clock_.get();
  options.disk = &disk_;
  options.random = random_.get();
  options.policy = &policy_;
  system_ = std::make_unique<System>(std::move(options));
}

World::~World() = default;

void World::run_until_idle(std::uint64_t steps_max) {
  const std::uint64_t last = policy_.picks() + steps_max;
  do {
    while (system_->scheduler().run_one_by_policy()) {
      if (policy_.picks() > last)
        throw Error(
            ErrorCode::stalled,
            "the world of seed " + std::to_string(seed_) + " does not become idle");
    }
  } while (system_->advance_clock());
}

void World::run_for(std::int64_t duration_ns, std::uint64_t steps_max) {
  const std::uint64_t last = policy_.picks() + steps_max;
  const std::int64_t until_ns = clock_->now_ns() + duration_ns;
  do {
    while (system_->scheduler().run_one_by_policy()) {
      if (policy_.picks() > last)
        throw Error(
            ErrorCode::stalled,
            "the world of seed " + std::to_string(seed_) + " does not become idle");
    }
  } while (system_->next_timer_ns() <= until_ns && system_->advance_clock());
  clock_->advance_to(until_ns);
}

}  // namespace troupe::sim
