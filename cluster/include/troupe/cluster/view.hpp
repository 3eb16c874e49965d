#pragma once

#include <troupe/core/bytes.hpp>
#include <troupe/nn/shards.hpp>

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

namespace troupe::cluster {

/// What all processes of a run must agree on before they train together.
struct RunTerms {
  std::uint64_t run = 0;        ///< drawn by the leader that began it; the same after a resume
  std::uint64_t term = 0;       ///< of the leader: greater in each process that leads the run
  std::string config;           ///< what is trained on what, as the program that trains reads it
  std::string numeric_profile;  ///< what bits depend on besides; see `troupe doctor`

  template <class V>
  void fields(V& visit) {
    visit.field("run", run);
    visit.field("term", term);
    visit.field("config", config);
    visit.field("numeric_profile", numeric_profile);
  }
};

/// The processes that train together, from one change among them to the next, seen from one.
struct View {
  std::uint32_t epoch = 0;
  std::uint32_t rank = 0;          ///< the leader's is 0
  std::vector<std::string> nodes;  ///< names, by rank
  nn::Shards shards;               ///< those that this process carries
  nn::ShardSum shard_sum;          ///< empty where it carries all
  Bytes state;                     ///< what all begin from; empty: what this process has
  std::stop_token stop;            ///< somebody comes or goes: to be left between two steps
};

/// A run in one process, as leader and followers drive it.
class Run {
 public:
  virtual ~Run() = default;
  /// Trains in a view from its state, until the run is done, or a stop is asked for. What it throws
  /// ends its part in the view; then it must stand where its last whole step left it.
  /// @returns  whether all is done
  virtual bool train(const View& view) = 0;
  /// All that another process needs to go on where this one stands, between two steps.
  [[nodiscard]] virtual Bytes state() = 0;
  /// Steps done.
  [[nodiscard]] virtual std::int64_t step() const = 0;
};

}  // namespace troupe::cluster
