#pragma once

#include <troupe/nn/shards.hpp>

#include <cstdint>
#include <vector>

namespace troupe::cluster {

/// The upper part of the tree over the shards, down to what one rank adds up by itself: the nodes
/// that ranks contribute, and how they meet.
class ReductionPlan {
 public:
  /// `shards` ≥ `ranks` ≥ 1.
  ReductionPlan(std::uint32_t ranks, std::uint32_t shards);

  struct Node {
    std::uint32_t parent = 0;  ///< its own number at the root
    std::uint32_t left = 0;    ///< children; both 0 for what a rank contributes
    std::uint32_t right = 0;
  };

  [[nodiscard]] const std::vector<Node>& nodes() const noexcept { return nodes_; }
  [[nodiscard]] std::uint32_t root() const noexcept { return root_; }
  /// How many nodes a rank contributes.
  [[nodiscard]] std::uint32_t contributions(std::uint32_t rank) const noexcept {
    return first_[rank + 1] - first_[rank];
  }
  /// The number of one of them, counted from the left.
  [[nodiscard]] std::uint32_t contribution(std::uint32_t rank, std::uint32_t which) const noexcept {
    return first_[rank] + which;  // from left to right, so rank by rank
  }

 private:
  std::uint32_t add(nn::ShardRange node, const std::vector<nn::ShardRange>& contributed);

  std::vector<Node> nodes_;           // what ranks contribute, from left to right, then sums
  std::vector<std::uint32_t> first_;  // of each rank's; one more at the end
  std::uint32_t root_ = 0;
};

}  // namespace troupe::cluster
