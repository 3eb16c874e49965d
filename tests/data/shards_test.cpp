#include <troupe/core/error.hpp>
#include <troupe/data/shards.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace troupe::data {
namespace {

std::vector<std::vector<std::int64_t>> cut(std::int64_t of, std::int64_t rows) {
  std::vector<std::vector<std::int64_t>> cuts;
  for (std::int64_t shard = 0; shard < of; ++shard) {
    const ShardRows mine = Shards{.of = of}.rows_of(shard, rows);
    cuts.push_back({mine.begin, mine.end, mine.counted});
  }
  return cuts;
}

/// "" when the shards are good.
std::string fault(const Shards& shards) {
  try {
    shards.check();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK_FALSE(error.hint().empty());
    return error.message();
  }
  return "";
}

}  // namespace

TEST_CASE("a batch is cut into parts that differ by one row at most", "[data]") {
  using Cuts = std::vector<std::vector<std::int64_t>>;
  CHECK(cut(1, 7) == Cuts{{0, 7, 7}});
  CHECK(cut(4, 8) == Cuts{{0, 2, 2}, {2, 4, 2}, {4, 6, 2}, {6, 8, 2}});
  CHECK(cut(4, 10) == Cuts{{0, 2, 2}, {2, 5, 3}, {5, 7, 2}, {7, 10, 3}});
  // Shards without rows compute with another's, and count for nothing.
  CHECK(cut(4, 2) == Cuts{{0, 1, 0}, {0, 1, 1}, {1, 2, 0}, {1, 2, 1}});
  CHECK(Shards{.of = 4}.rows_of(1, 10).weight(10) == 0.3);
}

// Goal: whatever is carried where, all rows count once, and those here are the shards' own.
TEST_CASE("the rows carried here are those of the shards carried here", "[data]") {
  for (std::int64_t of = 1; of <= 7; ++of)
    for (std::int64_t first = 0; first < of; ++first)
      for (std::int64_t count = 1; count <= of - first; ++count) {
        const Shards shards{.of = of, .first = first, .count = count};
        std::int64_t most = 0;
        for (std::int64_t rows = 1; rows <= 30; ++rows) {
          CAPTURE(of, first, count, rows);
          const ShardRows here = shards.rows_here(rows);
          std::int64_t counted = 0, end = 0;
          for (std::int64_t shard = first; shard < first + count; ++shard) {
            const ShardRows mine = shards.rows_of(shard, rows);
            REQUIRE(mine.end > mine.begin);
            REQUIRE(mine.end <= rows);
            counted += mine.counted;
            end = std::max(end, mine.end);
          }
          REQUIRE(here.begin == shards.rows_of(first, rows).begin);
          REQUIRE(here.end == end);
          REQUIRE(here.counted == counted);
          most = std::max(most, here.end - here.begin);
          if (rows >= of) REQUIRE(most <= shards.rows_here_max(rows));
          if (count == of) REQUIRE(counted == rows);
        }
      }
}

TEST_CASE("a count of 0 stands for all shards that are left", "[data]") {
  CHECK(Shards{}.all());
  CHECK(Shards{.of = 4}.all());
  CHECK(Shards{.of = 4, .first = 1}.end() == 4);
  CHECK_FALSE(Shards{.of = 4, .first = 1}.all());
  CHECK_FALSE(Shards{.of = 4, .count = 3}.all());
}

TEST_CASE("shards out of range are refused", "[data]") {
  CHECK(fault({}).empty());
  CHECK(fault({.of = 4, .first = 3, .count = 1}).empty());
  CHECK(fault({.of = 0}).find("into 0 shards") != std::string::npos);
  CHECK(fault({.of = -1}).find("into -1 shards") != std::string::npos);
  CHECK(fault({.of = 65'537}).find("65536") != std::string::npos);
  CHECK_FALSE(fault({.of = 4, .first = 4}).empty());
  CHECK_FALSE(fault({.of = 4, .first = -1}).empty());
  CHECK_FALSE(fault({.of = 4, .first = 2, .count = 3}).empty());
  CHECK_FALSE(fault({.of = 4, .first = 2, .count = -1}).empty());
  CHECK_NOTHROW(Shards{.of = 4}.check_batch(4));
  try {
    Shards{.of = 4}.check_batch(3);
    FAIL("was taken");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(error.message() == "a batch of 3 samples cannot be cut into 4 shards");
    CHECK(error.hint() == "use larger batches, or fewer shards");
  }
}

}  // namespace troupe::data
