#pragma once

#include "data_facts.hpp"
#include "run_config.hpp"

#include <troupe/cluster/view.hpp>
#include <troupe/nn/trainer.hpp>

#include <cstdint>
#include <memory>
#include <stop_token>

namespace troupe::cli {

/// A run's part in one process of several: model and optimizer, and in each view a trainer of the
/// shards that this process carries.
class Replica final : public cluster::Run {
 public:
  struct Parts {
    RunConfig config;
    const Dataset* dataset = nullptr;  ///< outlives the replica
    Device* device = nullptr;
    nn::Task task;
    nn::TrainerOptions options;  ///< but for shards and stop
    std::stop_token stop;        ///< people's
    bool tests = false;          ///< after each epoch: the leader alone
  };

  /// What all processes of a run must have alike: the config, and what the data are.
  [[nodiscard]] static io::Tree describe(const RunConfig& config, const Dataset& dataset);

  explicit Replica(Parts parts);

  bool train(const cluster::View& view) override;
  [[nodiscard]] Bytes state() override;
  [[nodiscard]] std::int64_t step() const override { return trainer_->step(); }
  [[nodiscard]] nn::Trainer& trainer() noexcept { return *trainer_; }

 private:
  /// Fills in what the others do not find out, the tests: from what this process knew, or by the
  /// test that was still to be done.
  void complete(
      io::Archive& archive, const std::vector<nn::EpochMetrics>& known, data::Loader& test);

  Parts parts_;
  DataFacts facts_;
  std::unique_ptr<nn::Trainer> trainer_;
};

}  // namespace troupe::cli
