#pragma once

#include <troupe/cluster/mesh_collectives.hpp>
#include <troupe/core/buffers.hpp>
#include <troupe/nn/shards.hpp>
#include <troupe/tensor/exchange.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace troupe::cluster {

/// A rank's collectives, for all epochs that it lives through.
struct Mesh {
  explicit Mesh(System& system, MeshOptions options = {}) : collectives(system, options) {}

  std::mutex mutex;  ///< held for each call
  MeshCollectives collectives;
};

/// Adds up, over the ranks of one view, what the exchanges of a training step are given.
///
/// Threads  any.
/// Memory   a copy of what is summed, until it was; 256 MiB of such at most for those to come.
/// Errors   those of `Collectives`, to whoever reads the sums; `fenced` once it is closed.
class MeshExchanger final : public Exchanger, public std::enable_shared_from_this<MeshExchanger> {
 public:
  /// Told what a step took of this process itself: the time from the last sum of the step before to
  /// its own last contribution. Of each step but a view's first, once the next one is under way; on
  /// any thread.
  using OwnTime = std::function<void(std::uint64_t step, std::int64_t own_ns)>;

  /// @param shards  leaves of the tree, as many in all ranks
  MeshExchanger(
      System& system, std::shared_ptr<Mesh> mesh, std::uint32_t shards, OwnTime own_time = {});

  [[nodiscard]] Ticket exchange(
      std::uint32_t number, std::span<const Value> inputs, const Value& total) override;
  /// The view is over: what the mesh has not been given by now fails.
  void close(Error reason);
  /// Bytes that were summed, and the time from exchanges' beginnings to their ends.
  struct Counters {
    std::uint64_t exchanges = 0;
    std::uint64_t bytes = 0;
    std::int64_t ns = 0;
    std::int64_t waited_ns = 0;  ///< from steps' last contributions to their last sums
  };
  [[nodiscard]] Counters counters() const;

 private:
  friend class Exchanging;
  void check_open() const;

  void contributed(std::uint64_t step, std::int64_t now_ns);
  void summed(std::size_t bytes, std::int64_t began_ns, std::int64_t now_ns);

  System& system_;
  std::shared_ptr<Mesh> mesh_;
  std::uint32_t shards_;
  OwnTime own_time_;
  std::shared_ptr<Buffers> buffers_;  // for copies of what is summed
  mutable std::mutex mutex_;
  std::optional<Error> closed_;
  std::vector<std::uint64_t> calls_;  // of each number so far
  Counters counters_;
  std::uint64_t step_ = 0;
  std::int64_t contributed_ns_ = 0;  // when this step's last contribution was made, so far
  std::int64_t summed_ns_ = 0;       // when the last sum came
  std::int64_t begun_ns_ = 0;        // when that of the step before did
  std::uint32_t under_way_ = 0;
};

/// A `ShardSum` of which this process carries some shards, and an exchanger has the rest. Gradients
/// go in buckets of this size, from the last layers' on, each as soon as its last one is made.
///
/// Bits  those of `nn::sum_of_shards` for the same number of shards.
[[nodiscard]] nn::ShardSum make_shard_sum(
    std::shared_ptr<Exchanger> exchanger, const nn::Shards& shards, std::uint64_t bucket_bytes);

}  // namespace troupe::cluster
