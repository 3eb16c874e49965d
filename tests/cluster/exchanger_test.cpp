#include "support/engine.hpp"

#include <troupe/cluster/exchanger.hpp>
#include <troupe/tensor/tensor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>

namespace troupe::testing {
namespace {

using namespace cluster;

/// Ranks of one group in one system, each with what it exchanges by.
struct Ranks {
  explicit Ranks(std::uint32_t count, std::uint32_t shards) : engine(1) {
    Group group;
    for (std::uint32_t rank = 0; rank < count; ++rank) {
      meshes.push_back(std::make_shared<Mesh>(engine.system));
      group.members.push_back(
          {"node-" + std::to_string(rank), meshes.back()->collectives.address()});
    }
    for (std::uint32_t rank = 0; rank < count; ++rank) {
      group.rank = rank;
      meshes[rank]->collectives.enter(group);
      exchangers.push_back(std::make_shared<MeshExchanger>(engine.system, meshes[rank], shards));
    }
  }
  ~Ranks() {
    exchangers.clear();
    meshes.clear();
    engine.system.wait_until(
        [&] { return engine.system.actors_alive() == 0; }, "the end of all ranks");
  }

  test::Engine engine;
  std::vector<std::shared_ptr<Mesh>> meshes;
  std::vector<std::shared_ptr<MeshExchanger>> exchangers;
};

/// What a shard gives: a weight, a bias and a count.
std::vector<Tensor> given(std::int64_t shard) {
  const auto seed = static_cast<std::uint64_t>(shard);
  return {
      Tensor::copy_of<float>(test::numbers(12, seed + 1), {3, 4}),
      Tensor::copy_of<float>(test::numbers(4, seed + 50), {4}),
      Tensor::copy_of<std::int64_t>(std::vector<std::int64_t>{shard + 1}, {1})};
}

}  // namespace

TEST_CASE("ranks come to the sums of all shards, in buckets of any size", "[cluster]") {
  constexpr std::int64_t shards = 5;
  const auto count = GENERATE(1U, 2U, 3U, 5U);
  const auto bucket_bytes = GENERATE(std::uint64_t{1}, std::uint64_t{32}, std::uint64_t{1} << 20);
  CAPTURE(count, bucket_bytes);
  Ranks ranks(count, shards);
  std::vector<std::vector<Tensor>> all;
  for (std::int64_t shard = 0; shard < shards; ++shard) all.push_back(given(shard));
  const std::vector<Tensor> expected = nn::sum_of_shards(all);

  std::vector<nn::ShardSum> sums;
  std::vector<std::vector<std::vector<Tensor>>> carried(count);
  for (std::uint32_t rank = 0; rank < count; ++rank) {
    const nn::ShardRange mine = shards_of(rank, count, shards);
    for (std::int64_t shard = mine.begin; shard < mine.end; ++shard)
      carried[rank].push_back(given(shard));
    sums.push_back(make_shard_sum(
        ranks.exchangers[rank],
        {.of = shards, .first = mine.begin, .count = mine.size()},
        bucket_bytes));
  }
  // Twice, for steps must not be taken for one another.
  for (int step = 0; step < 2; ++step) {
    std::vector<std::vector<Tensor>> found;
    for (std::uint32_t rank = 0; rank < count; ++rank) found.push_back(sums[rank](carried[rank]));
    for (const std::vector<Tensor>& of_rank : found) {
      REQUIRE(of_rank.size() == 3);
      CHECK(of_rank[0].shape() == expected[0].shape());
      CHECK(of_rank[0].to_vector<float>() == expected[0].to_vector<float>());
      CHECK(of_rank[1].to_vector<float>() == expected[1].to_vector<float>());
      CHECK(of_rank[2].to_vector<std::int64_t>() == expected[2].to_vector<std::int64_t>());
    }
  }
  const MeshExchanger::Counters counters = ranks.exchangers[0]->counters();
  // Integers go apart from floats; the bias goes with the weight where a bucket holds both.
  CHECK(counters.exchanges == (bucket_bytes >= 64 ? 4 : 6));
  CHECK(counters.bytes == 2 * (12 * 4 + 4 * 4 + 8));
}

TEST_CASE("exchanges of a view that is over fail", "[cluster]") {
  Ranks ranks(2, 2);
  const std::vector<std::vector<Tensor>> mine = {given(0)};
  const nn::ShardSum sum = make_shard_sum(ranks.exchangers[0], {.of = 2, .count = 1}, 1U << 20);
  const auto code_of = [](const Tensor& tensor) {
    try {
      (void)tensor.to_vector<float>();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::invalid_argument;
  };
  // One that waits for the other rank when this one leaves the group.
  const std::vector<Tensor> waiting = sum(mine);
  {
    Group alone;
    alone.epoch = 2;
    alone.members.push_back({"node-0", ranks.meshes[0]->collectives.address()});
    ranks.meshes[0]->collectives.enter(alone);
  }
  CHECK(code_of(waiting[0]) == ErrorCode::fenced);

  // And one that begins afterwards: alone, this rank would sum what it has.
  ranks.exchangers[0]->close(Error(ErrorCode::peer_down, "node-1 is gone"));
  ranks.exchangers[0]->close(Error(ErrorCode::fenced, "the first reason is kept"));
  CHECK(code_of(sum(mine)[0]) == ErrorCode::peer_down);
  CHECK(ranks.exchangers[0]->counters().exchanges == 0);
}

}  // namespace troupe::testing
