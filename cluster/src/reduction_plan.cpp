#include "reduction_plan.hpp"

#include <troupe/cluster/collectives.hpp>

#include <algorithm>

namespace troupe::cluster {

using nn::ShardRange;

ReductionPlan::ReductionPlan(std::uint32_t ranks, std::uint32_t shards) {
  std::vector<ShardRange> contributed;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    first_.push_back(static_cast<std::uint32_t>(contributed.size()));
    for (const ShardRange node : nn::whole_subtrees(shards, shards_of(rank, ranks, shards)))
      contributed.push_back(node);
  }
  first_.push_back(static_cast<std::uint32_t>(contributed.size()));
  nodes_.resize(contributed.size());
  root_ = add({0, shards}, contributed);
  nodes_[root_].parent = root_;
}

std::uint32_t ReductionPlan::add(ShardRange node, const std::vector<ShardRange>& contributed) {
  const auto found = std::lower_bound(
      contributed.begin(),
      contributed.end(),
      node.begin,
      [](const ShardRange& a, std::int64_t begin) { return a.begin < begin; });
  if (found != contributed.end() && *found == node)
    return static_cast<std::uint32_t>(found - contributed.begin());
  const auto [first, second] = node.halves();
  const std::uint32_t left = add(first, contributed);
  const std::uint32_t right = add(second, contributed);
  const auto number = static_cast<std::uint32_t>(nodes_.size());
  nodes_.push_back({number, left, right});
  nodes_[left].parent = nodes_[right].parent = number;
  return number;
}

}  // namespace troupe::cluster
