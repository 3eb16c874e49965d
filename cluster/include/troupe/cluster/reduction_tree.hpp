#pragma once

#include <cstdint>
#include <utility>
#include <vector>

/// The one order in which values of logical shards are summed, whoever carries them.
///
/// The shards are the leaves 0 … L−1 of a binary tree, and the sum over [low, high) is the sum over
/// [low, middle) plus the sum over [middle, high). So bits depend on L alone: a rank may add up any
/// whole subtree by itself, and others go on from there.
namespace troupe::cluster {

/// Leaves [low, high).
struct Leaves {
  std::uint32_t low = 0;
  std::uint32_t high = 0;

  [[nodiscard]] constexpr std::uint32_t size() const noexcept { return high - low; }
  friend constexpr bool operator==(const Leaves&, const Leaves&) noexcept = default;
};

/// Where a node of two leaves or more divides; the left half takes the odd one.
[[nodiscard]] constexpr std::uint32_t middle_of(Leaves node) noexcept {
  return node.low + (node.size() + 1) / 2;
}

/// The leaves that `rank` of `ranks` carries of `leaves` ≥ `ranks`: neighbors, and at least one.
[[nodiscard]] constexpr Leaves leaves_of(
    std::uint32_t rank, std::uint32_t ranks, std::uint32_t leaves) noexcept {
  const auto bound = [&](std::uint64_t r) {
    return static_cast<std::uint32_t>(r * leaves / ranks);
  };
  return {bound(rank), bound(std::uint64_t{rank} + 1)};
}

namespace detail {
inline void add_whole_subtrees(Leaves node, Leaves carried, std::vector<Leaves>& found) {
  if (node.low >= carried.high || node.high <= carried.low) return;
  if (node.low >= carried.low && node.high <= carried.high) return found.push_back(node);
  add_whole_subtrees({node.low, middle_of(node)}, carried, found);
  add_whole_subtrees({middle_of(node), node.high}, carried, found);
}
}  // namespace detail

/// The largest subtrees of the tree over `leaves` that `carried` holds whole, from left to right:
/// what a carrier adds up by itself. One, as a rule; at most 2·log₂(leaves).
[[nodiscard]] inline std::vector<Leaves> whole_subtrees(std::uint32_t leaves, Leaves carried) {
  std::vector<Leaves> found;
  detail::add_whole_subtrees({0, leaves}, carried, found);
  return found;
}

/// The value of a subtree: `leaf(i)` where it is one leaf, else `add(left, right)` of its halves.
template <class Leaf, class Add>
[[nodiscard]] auto tree_sum(Leaves node, Leaf&& leaf, Add&& add) -> decltype(leaf(node.low)) {
  if (node.size() == 1) return leaf(node.low);
  auto left = tree_sum({node.low, middle_of(node)}, leaf, add);
  auto right = tree_sum({middle_of(node), node.high}, leaf, add);
  return add(std::move(left), std::move(right));
}

}  // namespace troupe::cluster
