#pragma once

#include <troupe/cluster/view.hpp>
#include <troupe/core/system.hpp>
#include <troupe/net/network.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

namespace troupe::cluster {

struct FollowerOptions {
  /// After a leader's end, how long what a run came to is kept for one that goes on with it.
  std::int64_t leader_timeout_ns = 60'000'000'000;
  /// For the first leader to come; 0: for ever.
  std::int64_t invite_timeout_ns = 0;
  /// Makes a run of these terms; throws what the leader is told.
  std::function<std::unique_ptr<Run>(const RunTerms& terms)> make_run{};
  /// Nobody has come back for this run: the last that it can do is to save.
  std::function<void(Run& run)> on_orphaned{};
  /// A run has ended as its leader wished.
  std::function<void()> on_finished{};
  /// Told in words what happens, for people.
  std::function<void(const std::string& line)> say{};
};

/// Lets leaders train in this process, one after another. The calling thread trains.
///
/// Threads   the one that serves; the system's for everything else.
/// Errors    those of runs go to their leader; the follower stays.
class Follower {
 public:
  Follower(System& system, net::Network& network, FollowerOptions options);
  ~Follower();

  /// Until a stop is asked for, and `System::notify_waiters` called. Throws `timed_out` when no
  /// leader comes in the time for the first.
  void serve(std::stop_token stop);

  struct State;  ///< private to the module

 private:
  std::shared_ptr<State> state_;
};

}  // namespace troupe::cluster
