#pragma once

#include <troupe/cluster/view.hpp>
#include <troupe/core/system.hpp>
#include <troupe/net/network.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace troupe::cluster {

/// What a leader does when a follower is lost.
enum class OnLoss : std::uint8_t {
  go_on,  ///< with those that are left
  wait,   ///< until it is back
  stop,   ///< with an error
};

struct LeaderOptions {
  std::vector<net::Endpoint> followers{};  ///< where they listen
  std::uint32_t shards = 0;                ///< logical ones; 0: one for each process
  OnLoss on_loss = OnLoss::go_on;
  std::int64_t join_ns = 30'000'000'000;               ///< for all to be there at the beginning
  std::int64_t retry_ns = 1'000'000'000;               ///< between tries to reach one that is away
  std::stop_token stop{};                              ///< people's, asked for between steps
  std::function<void(const std::string& line)> say{};  ///< told in words what happens
};

/// A follower, as the leader sees it.
struct FollowerStatus {
  net::Endpoint at;
  std::string node;  ///< empty until it has said it
  bool joined = false;
  std::string reason;  ///< why it is away; empty: nobody knows yet
  // In the view at the moment.
  std::uint32_t shards = 0;     ///< that it carries
  std::uint32_t of_shards = 0;  ///< of so many
  std::int64_t own_ns = 0;  ///< its own part of a step, without waiting: median; 0: not known yet
  double times = 1;         ///< that, as a multiple of what the others take
  bool slow = false;        ///< the others wait for it
};

/// Leads a run on several processes: who is there, who carries which shards, what all begin from.
///
/// A process that is lost ends the step it had a part in, in all others; those that are left go on
/// from the leader's last whole step, with as many shards. Who comes back takes part from the next
/// step on.
///
/// A process that takes longer than the others for its own part of a step, for a dozen steps or
/// more, is named once: all wait for it.
///
/// Threads   one.
/// Majority  goes on with at least half of the last view that did a step: the leader holds the run.
class Leader {
 public:
  /// Throws `invalid_argument` for fewer shards than processes, and for an endpoint given twice.
  Leader(System& system, net::Network& network, LeaderOptions options, RunTerms terms);
  ~Leader();

  /// Waits until all followers are there. Throws `timed_out`, naming those that are not and why;
  /// what a follower refuses for, such as `peer_mismatch`, at once.
  void gather();
  /// Trains until the run is done or a stop is asked for. Where a follower has a later state of the
  /// run, from a leader before, begins from that.
  /// @returns  whether all is done
  /// Throws what the run throws here; `peer_down` when too few are left, or one is lost and
  /// `OnLoss` says stop.
  bool lead(Run& run);

  [[nodiscard]] std::vector<FollowerStatus> followers() const;
  /// Time in which this process had nothing to do but to wait for gradients of others.
  [[nodiscard]] std::int64_t waited_ns() const;
  /// Processes of the view at the moment, this one counted.
  [[nodiscard]] std::size_t ranks() const;

  struct State;  ///< private to the module

 private:
  std::shared_ptr<State> state_;
};

}  // namespace troupe::cluster
