#include "support/engine.hpp"

#include <troupe/nn/shards.hpp>

#include <catch2/catch_test_macros.hpp>

#include <optional>
#include <string>
#include <vector>

namespace troupe::nn {
namespace {

/// The sum over a range in words; ranges that are known already in brackets.
std::string written(ShardRange range, const std::vector<ShardRange>& known = {}) {
  return sum_by_tree(
      range,
      [&](ShardRange part) -> std::optional<std::string> {
        for (const ShardRange& one : known)
          if (one == part)
            return "[" + std::to_string(part.begin) + "," + std::to_string(part.end) + "]";
        if (part.size() > 1) return std::nullopt;
        return std::to_string(part.begin);
      },
      [](const std::string& a, const std::string& b) { return "(" + a + "+" + b + ")"; });
}

}  // namespace

TEST_CASE("shards are added up by a tree of halves", "[nn]") {
  CHECK(written({0, 1}) == "0");
  CHECK(written({0, 2}) == "(0+1)");
  CHECK(written({0, 3}) == "((0+1)+2)");
  CHECK(written({0, 4}) == "((0+1)+(2+3))");
  CHECK(written({0, 7}) == "(((0+1)+(2+3))+((4+5)+6))");
  CHECK(written({2, 5}) == "((2+3)+4)");
}

// Goal: what carriers add up by themselves are whole parts of the one tree.
TEST_CASE("carriers of neighboring shards add up whole ranges of the tree", "[nn]") {
  using Ranges = std::vector<ShardRange>;
  CHECK(ranges_here({.of = 4}) == Ranges{{0, 4}});
  CHECK(ranges_here({.of = 4, .first = 2}) == Ranges{{2, 4}});
  CHECK(ranges_here({.of = 4, .first = 1, .count = 2}) == Ranges{{1, 2}, {2, 3}});
  CHECK(ranges_here({.of = 8, .first = 1, .count = 6}) == Ranges{{1, 2}, {2, 4}, {4, 6}, {6, 7}});
  for (std::int64_t of = 1; of <= 9; ++of)
    for (std::int64_t cut = 1; cut < of; ++cut) {
      CAPTURE(of, cut);
      Ranges known = ranges_here({.of = of, .count = cut});
      for (const ShardRange& range : ranges_here({.of = of, .first = cut})) known.push_back(range);
      std::int64_t next = 0;
      for (const ShardRange& range : known) {
        CHECK(range.begin == next);
        next = range.end;
      }
      CHECK(next == of);
      // With each known range in the place of its own sum, it is the whole tree.
      std::string text = written({0, of}, known);
      for (const ShardRange& range : known) {
        const std::string name =
            "[" + std::to_string(range.begin) + "," + std::to_string(range.end) + "]";
        REQUIRE(text.find(name) != std::string::npos);
        text.replace(text.find(name), name.size(), written(range));
      }
      CHECK(text == written({0, of}));
    }
}

TEST_CASE("lists of tensors are added up place by place, in the order of the tree", "[nn]") {
  const test::Engine engine;
  // In float32 1e8 swallows a 3 that comes alone, but not two together: the order shows.
  const float first[] = {1e8f, 3, 3, 3};
  const float second[] = {1, 2, 3, 4};
  std::vector<std::vector<Tensor>> shards;
  for (std::size_t s = 0; s < 4; ++s)
    shards.push_back(
        {Tensor::copy_of<float>(std::span(&first[s], 1), {}),
         Tensor::copy_of<float>(std::span(&second[s], 1), {})});
  const std::vector<Tensor> sums = sum_of_shards(shards);
  REQUIRE(sums.size() == 2);
  CHECK(sums[0].item<float>() == 100'000'008);
  CHECK(sums[1].item<float>() == 10);
  const std::vector<Tensor> some = sum_of_range({2, 4}, std::span(shards).subspan(1), 1);
  CHECK(some[1].item<float>() == 7);
}

}  // namespace troupe::nn
