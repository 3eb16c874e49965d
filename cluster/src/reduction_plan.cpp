#include "reduction_plan.hpp"

#include <algorithm>

namespace troupe::cluster {

ReductionPlan::ReductionPlan(std::uint32_t ranks, std::uint32_t shards) {
  std::vector<Leaves> contributed;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    first_.push_back(static_cast<std::uint32_t>(contributed.size()));
    for (const Leaves node : whole_subtrees(shards, leaves_of(rank, ranks, shards)))
      contributed.push_back(node);
  }
  first_.push_back(static_cast<std::uint32_t>(contributed.size()));
  nodes_.resize(contributed.size());
  root_ = add({0, shards}, contributed);
  nodes_[root_].parent = root_;
}

std::uint32_t ReductionPlan::add(Leaves node, const std::vector<Leaves>& contributed) {
  const auto found = std::lower_bound(
      contributed.begin(), contributed.end(), node.low, [](const Leaves& a, std::uint32_t low) {
        return a.low < low;
      });
  if (found != contributed.end() && *found == node)
    return static_cast<std::uint32_t>(found - contributed.begin());
  const std::uint32_t left = add({node.low, middle_of(node)}, contributed);
  const std::uint32_t right = add({middle_of(node), node.high}, contributed);
  const auto number = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({number, left, right});
  nodes_[left].parent = nodes_[right].parent = number;
  return number;
}

}  // namespace troupe::cluster
