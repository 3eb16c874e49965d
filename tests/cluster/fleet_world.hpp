#pragma once

#include "net/cluster.hpp"
#include "small_run.hpp"

#include <troupe/cluster/follower.hpp>
#include <troupe/cluster/leader.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

/// Leaders and followers as processes have them, but for the processes.
namespace troupe::testing {

/// Lines that were said to people.
///
/// Threads  any.
class Said {
 public:
  void operator()(const std::string& line);
  [[nodiscard]] std::size_t count(std::string_view part) const;
  [[nodiscard]] std::string all() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

struct FollowerSetup {
  std::uint16_t port = 0;
  std::uint64_t incarnation = 1;
  std::int64_t leader_timeout_ns = 20'000'000'000;
  /// In place of a `SmallRun` of so many steps.
  std::function<std::unique_ptr<cluster::Run>(const cluster::RunTerms& terms)> make_run = {};
  std::int64_t steps = 0;
  SmallRun::Before before = {};
};

/// A follower that a thread of its own serves.
class FollowerProcess {
 public:
  FollowerProcess(const std::string& name, FollowerSetup setup);
  /// Ends as at a signal, and checks that nothing is left.
  ~FollowerProcess();

  [[nodiscard]] const net::Endpoint& at() const noexcept { return at_; }
  [[nodiscard]] Node& node() noexcept { return node_; }
  /// From the thread that trains: is out of reach from now on, and ends.
  void vanish();
  /// Whether it has.
  [[nodiscard]] bool vanished() const noexcept { return vanished_; }
  /// Those whose leader did not come back.
  [[nodiscard]] std::vector<std::string> orphans() const;

  Said said;

 private:
  void serve();

  FollowerSetup setup_;
  Node node_;
  Device& device_;
  net::Endpoint at_;
  std::stop_source stop_;
  std::atomic<bool> vanished_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> orphans_;
  std::thread thread_;
};

/// A leader in the calling thread.
class LeaderProcess {
 public:
  explicit LeaderProcess(
      const std::string& name,
      cluster::LeaderOptions options,
      cluster::RunTerms terms = small_terms(),
      std::uint64_t incarnation = 1);
  ~LeaderProcess();

  [[nodiscard]] cluster::Leader& leader() noexcept { return *leader_; }
  [[nodiscard]] Node& node() noexcept { return node_; }
  /// Gathers and leads. @returns whether all is done
  bool lead(cluster::Run& run);

  Said said;

 private:
  Node node_;
  Device& device_;
  std::optional<cluster::Leader> leader_;
};

/// Options for these followers, with short waits.
[[nodiscard]] cluster::LeaderOptions leading(
    const std::vector<std::unique_ptr<FollowerProcess>>& followers, std::uint32_t shards = 0);

}  // namespace troupe::testing
