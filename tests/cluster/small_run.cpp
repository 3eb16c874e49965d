#include "small_run.hpp"

#include <troupe/cpu/cpu.hpp>
#include <troupe/nn/shards.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstring>
#include <memory>
#include <stdexcept>
#include <utility>

namespace troupe::testing {

using namespace cluster;

namespace {

constexpr std::size_t numbers_count = 37;

}  // namespace

SmallRun::SmallRun(std::int64_t steps, Before before)
    : steps_(steps), before_(std::move(before)), numbers_(numbers_count) {
  for (std::size_t i = 0; i < numbers_.size(); ++i) numbers_[i] = 1.0F / static_cast<float>(i + 3);
}

bool SmallRun::train(const View& view) {
  if (view.state.size() > 0) restore(view.state);
  while (step_ < steps_) {
    if (view.stop.stop_requested()) return false;
    if (before_) before_(*this);
    std::vector<std::vector<Tensor>> lists;
    for (std::int64_t shard = view.shards.first; shard < view.shards.end(); ++shard) {
      std::vector<float> given(numbers_.size());
      for (std::size_t i = 0; i < given.size(); ++i) {
        const auto mix = static_cast<float>((step_ * 31 + shard * 7) % 97 + 1);
        given[i] = numbers_[i] / mix + 1.0F / (mix + static_cast<float>(i));
      }
      lists.push_back(
          {Tensor::copy_of<float>(given, {static_cast<std::int64_t>(given.size())}),
           Tensor::copy_of<float>(std::vector{static_cast<float>(shard + 1)}, {1})});
    }
    const std::vector<Tensor> sums =
        view.shard_sum ? view.shard_sum(lists) : nn::sum_of_shards(lists);
    const std::vector<float> moves = sums.at(0).to_vector<float>();
    const float weight = sums.at(1).to_vector<float>().at(0);
    // Only now, for a step that fails must leave everything as it was.
    for (std::size_t i = 0; i < numbers_.size(); ++i)
      numbers_[i] -= moves[i] / (weight * 10) - 0.01F;
    ++step_;
  }
  return true;
}

Bytes SmallRun::state() {
  const std::int64_t step = step_;
  const auto owner =
      std::make_shared<std::vector<std::byte>>(sizeof step + numbers_.size() * sizeof(float));
  std::memcpy(owner->data(), &step, sizeof step);
  std::memcpy(owner->data() + sizeof step, numbers_.data(), numbers_.size() * sizeof(float));
  return Bytes(*owner, owner);
}

void SmallRun::restore(const Bytes& state) {
  std::int64_t step = 0;
  if (state.size() != sizeof step + numbers_.size() * sizeof(float))
    throw Error(ErrorCode::invalid_argument, "a state of another size");
  std::memcpy(&step, state.span().data(), sizeof step);
  std::memcpy(numbers_.data(), state.span().data() + sizeof step, numbers_.size() * sizeof(float));
  step_ = step;
}

std::string SmallRun::bits() {
  std::string text = "step " + std::to_string(step_);
  for (const float number : numbers_) {
    std::uint32_t word = 0;
    std::memcpy(&word, &number, sizeof word);
    text += " " + std::to_string(word);
  }
  return text;
}

std::string bits_alone(std::int64_t steps, std::uint32_t shards) {
  System system({.threads = 1});
  const Scope scope(system, cpu::attach(system));
  SmallRun run(steps);
  View view;
  view.shards = {.of = shards};
  if (!run.train(view)) throw std::logic_error("nobody asked it to stop");
  return run.bits();
}

}  // namespace troupe::testing
