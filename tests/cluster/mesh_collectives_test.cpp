#include "collectives_suite.hpp"
#include "mesh_carriers.hpp"
#include "reference.hpp"

#include <troupe/core/scheduler.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <string>

namespace troupe::testing {

using namespace cluster;

TEST_CASE("reductions between actors have the bits of the serial tree", "[cluster]") {
  reductions_have_the_bits_of_the_serial_tree(make_one_system(GENERATE(1U, 3U)));
}

TEST_CASE("large reductions between actors have the bits of the serial tree", "[cluster]") {
  large_reductions_have_the_bits_of_the_serial_tree(make_one_system(2));
}

TEST_CASE("bits of a reduction depend on its shards alone", "[cluster]") {
  bits_depend_on_shards_alone(make_one_system(2));
}

TEST_CASE("gathered and broadcast bytes arrive as they were", "[cluster]") {
  bytes_arrive_as_they_were(make_one_system(2));
}

TEST_CASE("a barrier holds until all are there", "[cluster]") {
  a_barrier_holds_until_all_are_there(make_one_system(2));
}

TEST_CASE("deadlines end what is waited for", "[cluster]") {
  deadlines_end_what_is_waited_for(make_one_system(2));
}

TEST_CASE("cancel ends an operation everywhere", "[cluster]") {
  cancel_ends_it_everywhere(make_one_system(2));
}

TEST_CASE("a lost rank ends all operations", "[cluster]") {
  a_lost_rank_ends_all_operations(make_one_system(2));
}

TEST_CASE("what ranks disagree on is named", "[cluster]") {
  disagreements_are_named(make_one_system(2));
}

// Goal: the same, whatever order messages arrive in. Method: simulated worlds pick who runs next.
TEST_CASE("collectives hold in any order of arrival", "[cluster][simulation]") {
  const auto seed = GENERATE(take(3, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  const MakeCarrier make = make_world(seed);
  SECTION("reductions") { reductions_have_the_bits_of_the_serial_tree(make); }
  SECTION("shards") { bits_depend_on_shards_alone(make); }
  SECTION("bytes") { bytes_arrive_as_they_were(make); }
}

TEST_CASE("collectives end in any order of arrival", "[cluster][simulation]") {
  const auto seed = GENERATE(take(100, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  const MakeCarrier make = make_world(seed);
  a_barrier_holds_until_all_are_there(make);
  deadlines_end_what_is_waited_for(make);
  cancel_ends_it_everywhere(make);
  a_lost_rank_ends_all_operations(make);
  disagreements_are_named(make);
}

// Goal: wherever a rank's death falls, each operation of the others ends once, right or with
// `peer_down`. Method: the world stops after so many turns, of every number up to the end.
TEST_CASE("a rank may die at any turn", "[cluster][simulation]") {
  const auto seed = GENERATE(take(5, random<std::uint64_t>(0, ~0ull)));
  const bool parted = GENERATE(false, true);
  std::uint64_t turns = 0;
  for (bool ended = false; !ended; turns += 1 + turns / 8) {
    CAPTURE(seed, parted, turns);
    MeshOptions options;
    options.piece_bytes = 64;
    options.window_bytes = 64;
    options.latency_bytes = parted ? 0 : 1U << 30;
    WorldCarrier carrier(4, options, seed);
    std::vector<Bytes> shards;
    for (std::uint32_t rank = 0; rank < 4; ++rank)
      shards.push_back(some_values(DType::float32, 200, 1, rank));
    for (std::uint32_t rank = 0; rank < 4; ++rank) {
      carrier.rank(rank).all_reduce({1, 0}, shards[rank], {}, carrier.sink(rank));
      carrier.rank(rank).broadcast({2, 0}, 3, shards[3], shards[3].size(), carrier.sink(rank));
    }
    ended = carrier.run_turns(turns) <= turns;
    carrier.lose(3);
    carrier.run_until_ended(2);
    const auto sum = serial_tree(DType::float32, Reduction::sum, shards, 0, 4);
    for (std::uint32_t rank = 0; rank < 3; ++rank) {
      CHECK(carrier.endings(rank).count() == 2);
      const CollectiveDone reduced = carrier.endings(rank).once({1, 0});
      const CollectiveDone broadcast = carrier.endings(rank).once({2, 0});
      for (const CollectiveDone& done : {reduced, broadcast})
        if (done.failed) CHECK(done.error.code() == ErrorCode::peer_down);
      if (!reduced.failed) CHECK(equal(reduced.result.span(), sum));
      if (!broadcast.failed) CHECK(equal(broadcast.result.span(), shards[3].span()));
    }
  }
  CHECK(turns > 50);
}

TEST_CASE("a later group begins anew, and what belongs to the last one ends", "[cluster]") {
  const auto seed = GENERATE(take(50, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  WorldCarrier carrier(3, {}, seed);
  for (const std::uint32_t rank : {0U, 1U}) carrier.rank(rank).barrier({1, 0}, carrier.sink(rank));
  // The ranks change over one by one, with a step in between, and reuse a key.
  for (std::uint32_t rank = 0; rank < 3; ++rank) {
    carrier.enter(rank, 2);
    carrier.rank(rank).barrier({1, 1}, carrier.sink(rank));
    carrier.run_turns(seed % 7);
  }
  carrier.run_until([&] {
    return carrier.endings(0).count() == 2 && carrier.endings(1).count() == 2 &&
           carrier.endings(2).count() == 1;
  });
  for (std::uint32_t rank = 0; rank < 3; ++rank)
    CHECK_FALSE(carrier.endings(rank).once({1, 1}).failed);
  for (const std::uint32_t rank : {0U, 1U})
    CHECK(carrier.endings(rank).once({1, 0}).error.code() == ErrorCode::fenced);
}

TEST_CASE("those left after a loss go on with the same bits", "[cluster]") {
  const auto seed = GENERATE(take(50, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  std::vector<Bytes> shards;
  for (std::uint32_t s = 0; s < 4; ++s) shards.push_back(some_values(DType::float32, 200, 1, s));
  WorldCarrier carrier(4, {}, seed);
  const auto begin = [&](std::uint32_t rank) {
    Collectives& here = carrier.rank(rank);
    here.all_reduce(
        {1, 0},
        subtrees_of(here.rank(), here.ranks(), DType::float32, Reduction::sum, shards),
        {.shards = 4},
        carrier.sink(rank));
  };
  for (const std::uint32_t rank : {0U, 1U, 3U}) begin(rank);
  carrier.run_turns(seed % 20);
  carrier.lose(2);
  carrier.run_until_ended(1);
  for (const std::uint32_t rank : {3U, 0U, 1U}) {
    carrier.enter(rank, 2);
    begin(rank);
    carrier.run_turns(seed % 7);
  }
  carrier.run_until_ended(2);
  const auto sum = serial_tree(DType::float32, Reduction::sum, shards, 0, 4);
  for (const std::uint32_t rank : {0U, 1U, 3U}) {
    CHECK(carrier.endings(rank).failures() == 1);
    CHECK(equal(carrier.endings(rank).last().result.span(), sum));
  }
}

TEST_CASE("what no group could do is refused by the call", "[cluster]") {
  System system({.threads = 1});
  const auto code_of = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::internal;
  };
  CHECK(
      code_of([&] { MeshCollectives(system, {.piece_bytes = 4}); }) == ErrorCode::invalid_argument);
  MeshCollectives here(system);
  MeshCollectives there(system);
  const Group group{1, 0, {{"here", here.address()}, {"there", there.address()}}};
  for (const auto& wrong :
       {Group{0, 0, group.members},
        Group{1, 1, group.members},
        Group{1, 2, group.members},
        Group{1, 0, {}},
        Group{1, 0, {group.members[0], {"nobody", {}}}},
        Group{1, 0, {group.members[0], group.members[0]}}})
    CHECK(code_of([&] { here.enter(wrong); }) == ErrorCode::invalid_argument);
  here.enter(group);
  CHECK(code_of([&] { here.enter(group); }) == ErrorCode::invalid_argument);
  CHECK(here.rank() == 0);
  CHECK(here.ranks() == 2);
}

}  // namespace troupe::testing
