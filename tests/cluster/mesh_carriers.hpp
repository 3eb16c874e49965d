#pragma once

#include "collectives_suite.hpp"

#include <troupe/core/sim.hpp>

#include <deque>
#include <memory>
#include <optional>
#include <vector>

namespace troupe::testing {

/// Ranks in one system.
class MeshCarrier : public Carrier {
 public:
  ~MeshCarrier() override;

  [[nodiscard]] std::uint32_t ranks() const override {
    return static_cast<std::uint32_t>(members_.size());
  }
  [[nodiscard]] cluster::MeshCollectives& rank(std::uint32_t rank) override {
    return *members_[rank];
  }
  [[nodiscard]] Address<cluster::CollectiveDone> sink(std::uint32_t rank) override {
    return sinks_[rank];
  }
  [[nodiscard]] const Endings& endings(std::uint32_t rank) const override { return endings_[rank]; }
  [[nodiscard]] std::int64_t now_ns(std::uint32_t) override;
  void lose(std::uint32_t rank) override;

  /// A rank's part of becoming the group of this epoch, of all that are not lost.
  void enter(std::uint32_t rank, std::uint64_t epoch);

 protected:
  void open(System& system, std::uint32_t ranks, const cluster::MeshOptions& options);
  /// Ends all ranks; what is left to run must then run.
  void close();

 private:
  System* system_ = nullptr;
  std::deque<Endings> endings_;
  std::vector<Address<cluster::CollectiveDone>> sinks_;
  std::vector<std::unique_ptr<cluster::MeshCollectives>> members_;
  cluster::Group group_;
};

/// With real threads and the real clock.
class SystemCarrier final : public MeshCarrier {
 public:
  SystemCarrier(std::uint32_t ranks, const cluster::MeshOptions& options, unsigned threads);
  ~SystemCarrier() override;
  void run_until(const std::function<bool()>& done) override;

 private:
  System system_;
};

/// In a simulated world.
class WorldCarrier final : public MeshCarrier {
 public:
  WorldCarrier(std::uint32_t ranks, const cluster::MeshOptions& options, std::uint64_t seed);
  ~WorldCarrier() override;
  void run_until(const std::function<bool()>& done) override;
  /// Runs so many turns at most, while time stands still. @returns how many there were.
  std::uint64_t run_turns(std::uint64_t turns);

 private:
  sim::World world_;
};

[[nodiscard]] MakeCarrier make_one_system(unsigned threads);
[[nodiscard]] MakeCarrier make_world(std::uint64_t seed);

}  // namespace troupe::testing
