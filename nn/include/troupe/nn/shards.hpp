#pragma once

#include <troupe/data/shards.hpp>
#include <troupe/tensor/tensor.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace troupe::nn {

using data::Shards;

/// Some shards that follow one another: `begin`, …, `end` − 1.
struct ShardRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  [[nodiscard]] std::int64_t size() const noexcept { return end - begin; }
  /// The two halves whose sums make this range's sum, the first of which is the larger. This is the
  /// fixed tree by which shards are added up, whoever carries them: all else follows from it.
  [[nodiscard]] std::pair<ShardRange, ShardRange> halves() const noexcept {
    const std::int64_t middle = begin + (size() + 1) / 2;
    return {{begin, middle}, {middle, end}};
  }
  bool operator==(const ShardRange&) const = default;
};

/// The sum over a range by the fixed tree. `known(range)`, an optional, is asked from the whole
/// range down for what need not be parted, and has an answer for each single shard;
/// `add(first, second)` adds two halves.
template <class Known, class Add>
[[nodiscard]] auto sum_by_tree(ShardRange range, const Known& known, const Add& add) {
  auto sum = known(range);
  if (sum) return *std::move(sum);
  const auto [first, second] = range.halves();
  auto left = sum_by_tree(first, known, add);
  return add(std::move(left), sum_by_tree(second, known, add));
}

/// The largest ranges of the tree over `of` shards that lie within those that one carries, in
/// ascending order: what it may add up by itself. One, as a rule; at most 2·log₂(of).
[[nodiscard]] std::vector<ShardRange> whole_subtrees(std::int64_t of, ShardRange carried);
/// Those of the shards that are carried here.
[[nodiscard]] std::vector<ShardRange> ranges_here(const Shards& shards);

/// Adds up what shards give to a step. Is given a list of tensors for each shard that is carried
/// here, in ascending order of shards, and returns such a list: the sums over *all* shards of the
/// step, by the fixed tree. All lists are alike: gradients in the order of the optimizer's
/// parameters, what becomes of buffers, loss and right answers of each batch. What is a mean over
/// the batch is weighted already.
///
/// Called    once a step, or once for all in a capture, whose op calls it is made of: it must hold
///           none of its tensors back for the others, for they come one after another, the last
///           layers' gradients first, while the backward pass goes on.
using ShardSum =
    std::function<std::vector<Tensor>(std::span<const std::vector<Tensor>> shards_here)>;

/// The `ShardSum` where all shards are carried here.
[[nodiscard]] std::vector<Tensor> sum_of_shards(std::span<const std::vector<Tensor>> shards);

/// Sums over some shards: `range` of those whose lists are given, of which the first is
/// shard `first`.
[[nodiscard]] std::vector<Tensor> sum_of_range(
    ShardRange range, std::span<const std::vector<Tensor>> shards, std::int64_t first);

}  // namespace troupe::nn
