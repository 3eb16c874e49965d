#pragma once

#include <troupe/cluster/view.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace troupe::testing {

/// A few numbers that each step moves by a sum over shards. What a shard gives depends on where the
/// numbers stand, on the step and on the shard: a step that is lost, doubled, or summed in another
/// order shows in the bits.
class SmallRun final : public cluster::Run {
 public:
  /// Called on the thread that trains, before each step.
  using Before = std::function<void(SmallRun& run)>;

  explicit SmallRun(std::int64_t steps, Before before = {});

  bool train(const cluster::View& view) override;
  Bytes state() override;
  [[nodiscard]] std::int64_t step() const override { return step_; }

  /// Goes on with what `state()` of another made.
  void restore(const Bytes& state);
  /// Bits of numbers and step, for people to compare.
  [[nodiscard]] std::string bits();

 private:
  std::int64_t steps_;
  Before before_;
  std::atomic<std::int64_t> step_{0};
  std::vector<float> numbers_;
};

inline constexpr std::uint64_t small_run = 77;
[[nodiscard]] inline cluster::RunTerms small_terms(
    std::uint64_t run = small_run, std::uint64_t term = 1) {
  return {run, term, "a few numbers", "as here"};
}
/// What a process alone comes to.
[[nodiscard]] std::string bits_alone(std::int64_t steps, std::uint32_t shards);

}  // namespace troupe::testing
