#include <troupe/nn/shards.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/scope.hpp>

namespace troupe::nn {

namespace {

void collect(ShardRange range, ShardRange carried, std::vector<ShardRange>& found) {
  if (range.end <= carried.begin || range.begin >= carried.end) return;
  if (range.begin >= carried.begin && range.end <= carried.end) {
    found.push_back(range);
    return;
  }
  const auto [first, second] = range.halves();
  collect(first, carried, found);
  collect(second, carried, found);
}

}  // namespace

std::vector<ShardRange> whole_subtrees(std::int64_t of, ShardRange carried) {
  std::vector<ShardRange> found;
  collect({0, of}, carried, found);
  return found;
}

std::vector<ShardRange> ranges_here(const Shards& shards) {
  return whole_subtrees(shards.of, {shards.first, shards.end()});
}

std::vector<Tensor> sum_of_range(
    ShardRange range, std::span<const std::vector<Tensor>> shards, std::int64_t first) {
  const NoGrad no_grad;
  std::vector<Tensor> sums;
  for (std::size_t i = 0; i < shards[0].size(); ++i)
    sums.push_back(sum_by_tree(
        range,
        [&](ShardRange part) {
          return part.size() == 1
                     ? std::optional(shards[static_cast<std::size_t>(part.begin - first)][i])
                     : std::nullopt;
        },
        [](const Tensor& a, const Tensor& b) { return a + b; }));
  return sums;
}

std::vector<Tensor> sum_of_shards(std::span<const std::vector<Tensor>> shards) {
  return sum_of_range({0, static_cast<std::int64_t>(shards.size())}, shards, 0);
}

}  // namespace troupe::nn
