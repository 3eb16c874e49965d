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

std::function<void(net::NetworkOptions&)> as_member(std::uint64_t incarnation) {
  return [=](net::NetworkOptions& options) {
    options.incarnation = incarnation;
    options.messages.push_back(&cluster::find_message);
    options.session.hung_ns = 3'000'000'000;  // a step here takes milliseconds
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
