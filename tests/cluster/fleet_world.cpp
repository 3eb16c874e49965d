#include "fleet_world.hpp"

#include <troupe/cluster/messages.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/nn/shards.hpp>
#include <troupe/tensor/scope.hpp>
#include <troupe/tensor/tensor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstring>
#include <utility>

namespace troupe::testing {

using namespace cluster;

namespace {

constexpr std::size_t numbers_count = 37;

std::function<void(net::NetworkOptions&)> as_member(std::uint64_t incarnation) {
  return [=](net::NetworkOptions& options) {
    options.incarnation = incarnation;
    options.messages.push_back(&cluster::find_message);
  };
}

void check_empty(System& system) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (system.actors_alive() > 0 && std::chrono::steady_clock::now() < until) {
    system.wait_until([n = 0]() mutable { return n++ > 0; }, "a look");
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  CHECK(system.actors_alive() == 0);
}

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
  CHECK(run.train(view));
  return run.bits();
}

void Said::operator()(const std::string& line) {
  const std::lock_guard lock(mutex_);
  lines_.push_back(line);
}

std::size_t Said::count(std::string_view part) const {
  const std::lock_guard lock(mutex_);
  std::size_t found = 0;
  for (const std::string& line : lines_) found += line.find(part) != std::string::npos;
  return found;
}

std::string Said::all() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const std::string& line : lines_) text += line + "\n";
  return text;
}

FollowerProcess::FollowerProcess(const std::string& name, FollowerSetup setup)
    : setup_(std::move(setup)),
      node_(name, nullptr, {}, as_member(setup_.incarnation)),
      device_(cpu::attach(node_.system)) {
  at_ = node_.network->listen({"127.0.0.1", setup_.port});
  thread_ = std::thread([this] { serve(); });
}

FollowerProcess::~FollowerProcess() {
  stop_.request_stop();
  node_.system.notify_waiters();
  thread_.join();
  node_.network->stop();
  check_empty(node_.system);
}

void FollowerProcess::serve() {
  const Scope scope(node_.system, device_);
  Follower follower(
      node_.system,
      *node_.network,
      {.leader_timeout_ns = setup_.leader_timeout_ns,
       .make_run = [this](const RunTerms& terms) -> std::unique_ptr<Run> {
         if (setup_.make_run) return setup_.make_run(terms);
         return std::make_unique<SmallRun>(setup_.steps, setup_.before);
       },
       .on_orphaned =
           [this](Run& run) {
             const std::lock_guard lock(mutex_);
             orphans_.push_back(static_cast<SmallRun&>(run).bits());
           },
       .say = [this](const std::string& line) { said(line); }});
  follower.serve(stop_.get_token());
}

void FollowerProcess::vanish() {
  stop_.request_stop();
  node_.network->stop();
  vanished_ = true;
  throw Error(ErrorCode::stopped, "this process is gone");
}

std::vector<std::string> FollowerProcess::orphans() const {
  const std::lock_guard lock(mutex_);
  return orphans_;
}

LeaderProcess::LeaderProcess(
    const std::string& name, LeaderOptions options, RunTerms terms, std::uint64_t incarnation)
    : node_(name, nullptr, {}, as_member(incarnation)), device_(cpu::attach(node_.system)) {
  options.say = [this](const std::string& line) { said(line); };
  leader_.emplace(node_.system, *node_.network, std::move(options), std::move(terms));
}

LeaderProcess::~LeaderProcess() {
  leader_.reset();
  node_.network->stop();
  check_empty(node_.system);
}

bool LeaderProcess::lead(Run& run) {
  const Scope scope(node_.system, device_);
  leader_->gather();
  return leader_->lead(run);
}

LeaderOptions leading(
    const std::vector<std::unique_ptr<FollowerProcess>>& followers, std::uint32_t shards) {
  LeaderOptions options{.shards = shards, .join_ns = 20'000'000'000, .retry_ns = 50'000'000};
  for (const auto& follower : followers) options.followers.push_back(follower->at());
  return options;
}

}  // namespace troupe::testing
