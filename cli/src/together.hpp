#pragma once

#include "console.hpp"
#include "data_facts.hpp"
#include "options.hpp"
#include "run_config.hpp"
#include "session.hpp"

#include <troupe/nn/trainer.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

namespace troupe::cli {

/// A run that this process leads, on itself and on the peers that it is given.
class Together {
 public:
  struct Parts {
    RunConfig config;
    const Dataset* dataset = nullptr;  ///< outlives this
    nn::Task task;
    nn::TrainerOptions options;  ///< but for shards and stop
    std::stop_token stop;
    std::uint64_t term = 0;  ///< the lease that this process will have of the run's folder
  };

  /// Connects to the peers, and waits until all are there. Throws `invalid_argument` for what is no
  /// endpoint or given twice, `timed_out` naming those that are missing, and what they refuse for;
  /// `unsupported` in a build without a network.
  ///
  /// @param run  the number of the run, by which peers know it again
  Together(
      const TrainOptions& options,
      Session& session,
      Console& console,
      Parts parts,
      std::uint64_t run);
  ~Together();

  /// The one at the moment: there is another for each change among the processes.
  [[nodiscard]] nn::Trainer& trainer() noexcept;
  /// Trains; see `cluster::Leader::lead`. @returns whether all epochs are done.
  bool fit();
  [[nodiscard]] std::size_t peers() const;
  /// Seconds in which this process only waited for gradients of others, since it was asked before.
  [[nodiscard]] double waited();
  /// A line for each peer, begun by '\n' and no wider than that: what goes on there.
  [[nodiscard]] std::string report(std::size_t width) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace troupe::cli
