#include "reduction_plan.hpp"

#include <troupe/cluster/collectives.hpp>

#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>

namespace troupe::testing {

using namespace cluster;
using nn::ShardRange;
using nn::whole_subtrees;

namespace {

/// A subtree as it is summed, such as "((0+1)+2)".
std::string written(ShardRange node) {
  return nn::sum_by_tree(
      node,
      [](ShardRange part) {
        return part.size() == 1 ? std::optional(std::to_string(part.begin)) : std::nullopt;
      },
      [](const std::string& left, const std::string& right) {
        return "(" + left + "+" + right + ")";
      });
}

std::string written(
    const ReductionPlan& plan, const std::vector<std::string>& contributed, std::uint32_t node) {
  if (node < contributed.size()) return contributed[node];
  return "(" + written(plan, contributed, plan.nodes()[node].left) + "+" +
         written(plan, contributed, plan.nodes()[node].right) + ")";
}

}  // namespace

TEST_CASE("the tree halves its leaves, and the left half takes the odd one", "[cluster]") {
  CHECK(written({0, 1}) == "0");
  CHECK(written({0, 2}) == "(0+1)");
  CHECK(written({0, 3}) == "((0+1)+2)");
  CHECK(written({0, 4}) == "((0+1)+(2+3))");
  CHECK(written({0, 5}) == "(((0+1)+2)+(3+4))");
  CHECK(written({0, 7}) == "(((0+1)+(2+3))+((4+5)+6))");
}

TEST_CASE("ranks carry neighbors, each at least one, and all are carried", "[cluster]") {
  for (std::uint32_t leaves = 1; leaves <= 40; ++leaves)
    for (std::uint32_t ranks = 1; ranks <= leaves; ++ranks) {
      std::int64_t next = 0;
      for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        const ShardRange carried = shards_of(rank, ranks, leaves);
        CHECK(carried.begin == next);
        CHECK(carried.size() >= leaves / ranks);
        CHECK(carried.size() <= (leaves + ranks - 1) / ranks);
        next = carried.end;
      }
      CHECK(next == leaves);
    }
}

TEST_CASE("a carrier adds up the largest subtrees that it holds whole", "[cluster]") {
  using List = std::vector<ShardRange>;
  CHECK(whole_subtrees(4, {0, 4}) == List{{0, 4}});
  CHECK(whole_subtrees(4, {2, 4}) == List{{2, 4}});
  CHECK(whole_subtrees(4, {1, 3}) == List{{1, 2}, {2, 3}});
  CHECK(whole_subtrees(8, {2, 5}) == List{{2, 4}, {4, 5}});
  CHECK(whole_subtrees(8, {1, 7}) == List{{1, 2}, {2, 4}, {4, 6}, {6, 7}});
  CHECK(whole_subtrees(5, {3, 3}).empty());
}

TEST_CASE("what ranks contribute meets as in the whole tree", "[cluster]") {
  for (std::uint32_t shards = 1; shards <= 20; ++shards)
    for (std::uint32_t ranks = 1; ranks <= shards; ++ranks) {
      CAPTURE(shards, ranks);
      const ReductionPlan plan(ranks, shards);
      std::vector<std::string> contributed;
      for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        const auto nodes = whole_subtrees(shards, shards_of(rank, ranks, shards));
        REQUIRE(plan.contributions(rank) == nodes.size());
        for (std::uint32_t i = 0; i < nodes.size(); ++i) {
          REQUIRE(plan.contribution(rank, i) == contributed.size());
          contributed.push_back(written(nodes[i]));
        }
      }
      CHECK(written(plan, contributed, plan.root()) == written({0, shards}));
      CHECK(plan.nodes().size() == 2 * contributed.size() - 1);
      for (std::uint32_t i = 0; i < plan.nodes().size(); ++i) {
        const auto& parent = plan.nodes()[plan.nodes()[i].parent];
        CHECK((i == plan.root() || parent.left == i || parent.right == i));
      }
      CHECK(plan.nodes()[plan.root()].parent == plan.root());
    }
}

}  // namespace troupe::testing
