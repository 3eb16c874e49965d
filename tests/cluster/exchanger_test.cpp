#include "support/engine.hpp"

#include <troupe/cluster/exchanger.hpp>
#include <troupe/tensor/tensor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

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

// Goal: a process's own time is told apart from the time in which it waits for others.
TEST_CASE("who works longer has the time, and who does not has waited", "[cluster]") {
  constexpr auto late = std::chrono::milliseconds(20);
  constexpr int steps = 4;
  Ranks ranks(2, 2);
  std::array<std::vector<std::int64_t>, 2> own_ns;
  std::array<nn::ShardSum, 2> sums;
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    ranks.exchangers[rank] = std::make_shared<MeshExchanger>(
        ranks.engine.system,
        ranks.meshes[rank],
        2,
        [&times = own_ns[rank]](std::uint64_t step, std::int64_t ns) {
          CHECK(step == times.size() + 1);
          times.push_back(ns);
        });
    sums[rank] =
        make_shard_sum(ranks.exchangers[rank], {.of = 2, .first = rank, .count = 1}, 1U << 20);
  }
  const std::vector<std::vector<Tensor>> one = {given(0)};
  const std::vector<std::vector<Tensor>> other = {given(1)};
  for (int step = 0; step < steps; ++step) {
    const std::vector<Tensor> early = sums[0](one);
    std::this_thread::sleep_for(late);
    const std::vector<Tensor> after = sums[1](other);
    for (const auto& sum : {early, after})
      for (const Tensor& tensor : sum) (void)tensor.value();
  }
  const auto ns = [](auto time) { return std::chrono::nanoseconds(time).count(); };
  // Not of the first, nor of the last, after which there may be more.
  REQUIRE(own_ns[0].size() == steps - 2);
  REQUIRE(own_ns[1].size() == steps - 2);
  for (const std::int64_t time : own_ns[1]) CHECK(time >= ns(late));
  CHECK(ranks.exchangers[0]->counters().waited_ns >= steps * ns(late));
  CHECK(*std::min_element(own_ns[0].begin(), own_ns[0].end()) < ns(late));
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
