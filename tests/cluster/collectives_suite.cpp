#include "collectives_suite.hpp"

#include "reference.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <utility>

namespace troupe::testing {

using namespace cluster;

namespace {

constexpr DType dtypes[] = {
    DType::float32, DType::float64, DType::bfloat16, DType::int32, DType::int64};
constexpr Reduction reductions[] = {Reduction::sum, Reduction::max, Reduction::min};

class Sink final : public Actor<CollectiveDone> {
 public:
  explicit Sink(Endings& endings) : endings_(endings) {}

 private:
  friend ActorAccess;
  void on(CollectiveDone&& done) { endings_.add(std::move(done)); }
  Endings& endings_;
};

/// Small pieces and windows, so that a few hundred bytes take every turn of the code; `parted` or
/// never.
MeshOptions small_pieces(bool parted) {
  MeshOptions options;
  options.piece_bytes = 64;
  options.window_bytes = 128;
  options.latency_bytes = parted ? 0 : 1U << 30;
  options.fan_out = 2;
  return options;
}

/// Calls, in another order on each rank: those of rank r begin with the r-th.
void begin_in_turn(Carrier& carrier, std::vector<std::function<void(std::uint32_t)>> calls) {
  for (std::uint32_t rank = 0; rank < carrier.ranks(); ++rank)
    for (std::size_t i = 0; i < calls.size(); ++i) calls[(i + rank) % calls.size()](rank);
}

struct Expected {
  CollectiveKey key;
  std::vector<std::byte> whole;
  DType dtype = DType::uint8;
  bool scattered = false;
};

void check(Carrier& carrier, const std::vector<Expected>& all) {
  for (std::uint32_t rank = 0; rank < carrier.ranks(); ++rank) {
    CHECK(carrier.endings(rank).count() == all.size());
    for (const Expected& expected : all) {
      CAPTURE(
          carrier.ranks(), rank, expected.key.step, expected.whole.size(), name_of(expected.dtype));
      const CollectiveDone done = carrier.endings(rank).once(expected.key);
      INFO(done.error.what());
      REQUIRE_FALSE(done.failed);
      std::span<const std::byte> whole = expected.whole;
      if (expected.scattered) {
        const Stretch part = part_of(whole.size(), size_of(expected.dtype), rank, carrier.ranks());
        whole = whole.subspan(part.begin, part.bytes);
      }
      CHECK(equal(done.result.span(), whole));
    }
  }
}

/// Reductions of these sizes, all at once; each key's step is its number.
void reduce_all(
    Carrier& carrier,
    const std::vector<std::size_t>& sizes,
    std::span<const DType> of,
    std::span<const Reduction> by,
    std::uint32_t shards) {
  const std::uint32_t ranks = carrier.ranks();
  std::vector<Expected> expected;
  std::vector<std::function<void(std::uint32_t)>> calls;
  for (const bool scattered : {false, true})
    for (const DType dtype : of)
      for (const Reduction reduction : by)
        for (const std::size_t size : sizes) {
          const CollectiveKey key{expected.size(), 7};
          std::vector<Bytes> values;
          for (std::uint32_t s = 0; s < shards; ++s)
            values.push_back(some_values(dtype, size, key.step, s));
          expected.push_back(
              {key, serial_tree(dtype, reduction, values, 0, shards), dtype, scattered});
          calls.push_back([=, &carrier](std::uint32_t rank) {
            const auto inputs = subtrees_of(rank, ranks, dtype, reduction, values);
            const ReduceOptions how{dtype, reduction, shards};
            if (scattered)
              carrier.rank(rank).reduce_scatter(key, inputs, how, carrier.sink(rank));
            else
              carrier.rank(rank).all_reduce(key, inputs, how, carrier.sink(rank));
          });
        }
  begin_in_turn(carrier, calls);
  carrier.run_until_ended(expected.size());
  check(carrier, expected);
}

}  // namespace

void Endings::add(CollectiveDone done) {
  const std::lock_guard lock(mutex_);
  all_.push_back(std::move(done));
}

std::size_t Endings::count() const {
  const std::lock_guard lock(mutex_);
  return all_.size();
}

std::size_t Endings::failures() const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count_if(
      all_.begin(), all_.end(), [](const CollectiveDone& done) { return done.failed; }));
}

CollectiveDone Endings::last() const {
  const std::lock_guard lock(mutex_);
  return all_.back();
}

CollectiveDone Endings::once(CollectiveKey key) const {
  const std::lock_guard lock(mutex_);
  const auto is_it = [&](const CollectiveDone& done) { return done.key == key; };
  REQUIRE(std::count_if(all_.begin(), all_.end(), is_it) == 1);
  return *std::find_if(all_.begin(), all_.end(), is_it);
}

Address<CollectiveDone> spawn_sink(System& system, Endings& endings) {
  return system.spawn<Sink>(endings);
}

void Carrier::run_until_ended(std::size_t count) {
  run_until([&] {
    for (std::uint32_t rank = 0; rank < ranks(); ++rank)
      if (!lost_[rank] && endings(rank).count() < count) return false;
    return true;
  });
}

void reductions_have_the_bits_of_the_serial_tree(const MakeCarrier& make) {
  for (const bool parted : {false, true})
    for (std::uint32_t ranks = 1; ranks <= 9; ++ranks) {
      const auto carrier = make(ranks, small_pieces(parted));
      reduce_all(*carrier, {0, 1, ranks - 1, ranks, ranks + 1, 300}, dtypes, reductions, ranks);
    }
}

void large_reductions_have_the_bits_of_the_serial_tree(const MakeCarrier& make) {
  constexpr DType of[] = {DType::float32, DType::bfloat16};
  constexpr Reduction by[] = {Reduction::sum};
  constexpr std::size_t mib = (1U << 20) / 4;  // of float32
  for (const std::uint32_t ranks : {2, 3, 4, 9}) {
    const auto carrier = make(ranks, {});
    reduce_all(*carrier, {mib - 1, mib, mib + 1}, of, by, ranks);
  }
}

void bits_depend_on_shards_alone(const MakeCarrier& make) {
  constexpr DType of[] = {DType::float32};
  constexpr Reduction by[] = {Reduction::sum};
  for (const bool parted : {false, true})
    for (const std::uint32_t shards : {1, 2, 3, 4, 5, 7, 8, 11})
      for (std::uint32_t ranks = 1; ranks <= shards; ++ranks) {
        const auto carrier = make(ranks, small_pieces(parted));
        reduce_all(*carrier, {1, 100}, of, by, shards);
      }
}

void bytes_arrive_as_they_were(const MakeCarrier& make) {
  const auto gather_and_broadcast =
      [&](std::uint32_t ranks, const MeshOptions& options, const std::vector<std::size_t>& sizes) {
        const auto carrier = make(ranks, options);
        std::vector<Expected> expected;
        std::vector<std::function<void(std::uint32_t)>> calls;
        for (const std::size_t size : sizes) {
          const CollectiveKey key{expected.size(), 0};
          std::vector<Bytes> blocks;
          std::vector<std::byte> whole;
          for (std::uint32_t r = 0; r < ranks; ++r) {
            blocks.push_back(some_values(DType::uint8, size, key.step, r));
            whole.insert(whole.end(), blocks[r].span().begin(), blocks[r].span().end());
          }
          expected.push_back({key, whole});
          calls.push_back([=, &carrier](std::uint32_t rank) {
            carrier->rank(rank).all_gather(key, blocks[rank], carrier->sink(rank));
          });
          for (std::uint32_t root = 0; root < ranks; ++root) {
            const CollectiveKey of_root{expected.size(), 0};
            const Bytes bytes = some_values(DType::uint8, size, of_root.step, root);
            expected.push_back({of_root, {bytes.span().begin(), bytes.span().end()}});
            calls.push_back([=, &carrier](std::uint32_t rank) {
              carrier->rank(rank).broadcast(
                  of_root, root, rank == root ? bytes : Bytes(), size, carrier->sink(rank));
            });
          }
        }
        begin_in_turn(*carrier, calls);
        carrier->run_until_ended(expected.size());
        check(*carrier, expected);
      };
  for (const bool parted : {false, true})
    for (std::uint32_t ranks = 1; ranks <= 9; ++ranks)
      gather_and_broadcast(ranks, small_pieces(parted), {0, 1, ranks - 1, ranks, ranks + 1, 1000});
  for (const std::uint32_t ranks : {2, 5})
    gather_and_broadcast(ranks, {}, {(1U << 20) - 1, 1U << 20, (1U << 20) + 1});
}

void a_barrier_holds_until_all_are_there(const MakeCarrier& make) {
  for (std::uint32_t ranks = 1; ranks <= 5; ++ranks) {
    const auto carrier = make(ranks, {});
    // A barrier that all but the last enter, and a second that all do: when that has ended, what
    // was sent for the first has come.
    for (std::uint32_t rank = 0; rank + 1 < ranks; ++rank)
      carrier->rank(rank).barrier({1, 0}, carrier->sink(rank));
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      carrier->rank(rank).barrier({2, 0}, carrier->sink(rank));
    carrier->run_until_ended(1);
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      CHECK(carrier->endings(rank).count() == 1);
      CHECK_FALSE(carrier->endings(rank).once({2, 0}).failed);
    }
    carrier->rank(ranks - 1).barrier({1, 0}, carrier->sink(ranks - 1));
    carrier->run_until_ended(2);
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      CHECK_FALSE(carrier->endings(rank).once({1, 0}).failed);
  }
}

void deadlines_end_what_is_waited_for(const MakeCarrier& make) {
  const std::uint32_t ranks = 3;
  const CollectiveKey given{4, 1};
  const CollectiveKey by_default{5, 1};
  MeshOptions options = small_pieces(true);
  options.timeout_ns = 400'000'000;
  const auto carrier = make(ranks, options);
  const Bytes input = some_values(DType::float32, 100, 1, 0);
  for (std::uint32_t rank = 0; rank + 1 < ranks; ++rank) {
    ReduceOptions how;
    carrier->rank(rank).all_reduce(by_default, input, how, carrier->sink(rank));
    how.deadline_ns = carrier->now_ns(rank) + 200'000'000;
    carrier->rank(rank).all_reduce(given, input, how, carrier->sink(rank));
  }
  carrier->run_until_ended(0);
  carrier->run_until(
      [&] { return carrier->endings(0).count() == 2 && carrier->endings(1).count() == 2; });
  bool named = false;
  for (std::uint32_t rank = 0; rank + 1 < ranks; ++rank)
    for (const CollectiveKey key : {given, by_default}) {
      const CollectiveDone done = carrier->endings(rank).once(key);
      INFO(done.error.what());
      CHECK(done.failed);
      CHECK(done.error.code() == ErrorCode::timed_out);
      CHECK(done.error.op() == "all_reduce");
      CHECK(done.error.step() == static_cast<std::int64_t>(key.step));
      named = named || done.error.message().find("rank 2 (") != std::string::npos;
    }
  CHECK(named);
  // Too late: the others have given up, and this one is told at once.
  for (const CollectiveKey key : {given, by_default})
    carrier->rank(2).all_reduce(key, input, ReduceOptions{}, carrier->sink(2));
  carrier->run_until_ended(2);
  for (const CollectiveKey key : {given, by_default})
    CHECK(carrier->endings(2).once(key).error.code() == ErrorCode::timed_out);
  // A deadline that has passed ends a call that all would have made.
  ReduceOptions past;
  past.deadline_ns = 1;
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    carrier->rank(rank).all_reduce({6, 0}, input, past, carrier->sink(rank));
  carrier->run_until_ended(3);
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    CHECK(carrier->endings(rank).once({6, 0}).error.code() == ErrorCode::timed_out);
}

void cancel_ends_it_everywhere(const MakeCarrier& make) {
  const std::uint32_t ranks = 4;
  const auto carrier = make(ranks, small_pieces(true));
  const Bytes input = some_values(DType::float32, 1000, 1, 0);
  const CollectiveKey key{9, 3};
  for (std::uint32_t rank = 0; rank + 1 < ranks; ++rank)
    carrier->rank(rank).all_reduce(key, input, ReduceOptions{}, carrier->sink(rank));
  carrier->rank(1).cancel(key);
  carrier->rank(1).cancel(key);
  carrier->rank(1).cancel({10, 3});  // which was never begun
  carrier->run_until([&] {
    return carrier->endings(0).count() == 1 && carrier->endings(1).count() == 1 &&
           carrier->endings(2).count() == 1;
  });
  carrier->rank(3).all_reduce(key, input, ReduceOptions{}, carrier->sink(3));
  carrier->run_until_ended(1);
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    const CollectiveDone done = carrier->endings(rank).once(key);
    INFO(done.error.what());
    CHECK(done.error.code() == ErrorCode::stopped);
    if (rank != 1) CHECK(done.error.message().find("rank 1 (") != std::string::npos);
  }
  // Others are not touched by it.
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    carrier->rank(rank).all_reduce({11, 3}, input, ReduceOptions{}, carrier->sink(rank));
  carrier->run_until_ended(2);
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    CHECK_FALSE(carrier->endings(rank).once({11, 3}).failed);
}

void a_lost_rank_ends_all_operations(const MakeCarrier& make) {
  for (const bool parted : {false, true}) {
    const std::uint32_t ranks = 4;
    const auto carrier = make(ranks, small_pieces(parted));
    const Bytes input = some_values(DType::float32, 1000, 1, 0);
    // The first waits for a rank that never begins it, so it is still there; the others may have
    // got anywhere.
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      Collectives& here = carrier->rank(rank);
      const auto sink = carrier->sink(rank);
      if (rank != 2) here.barrier({1, 0}, sink);
      here.all_reduce({2, 0}, input, ReduceOptions{}, sink);
      here.reduce_scatter({3, 0}, {input}, ReduceOptions{}, sink);
      here.all_gather({4, 0}, input, sink);
      here.broadcast({5, 0}, 2, input, input.size(), sink);
    }
    carrier->lose(2);
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      if (rank != 2) carrier->rank(rank).barrier({6, 0}, carrier->sink(rank));
    carrier->run_until_ended(6);
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      if (rank == 2) continue;
      CHECK(carrier->endings(rank).count() == 6);
      for (std::uint64_t step = 1; step <= 6; ++step) {
        const CollectiveDone done = carrier->endings(rank).once({step, 0});
        CAPTURE(rank, step, done.error.what());
        if (step == 1 || step == 6) CHECK(done.failed);
        if (!done.failed) continue;
        CHECK(done.error.code() == ErrorCode::peer_down);
        CHECK(done.error.message().find("rank 2 (") != std::string::npos);
      }
    }
  }
}

void disagreements_are_named(const MakeCarrier& make) {
  struct Case {
    ErrorCode code;
    const char* says;
    std::function<void(Collectives&, CollectiveKey, Address<CollectiveDone>)> other;
  };
  const Bytes input = some_values(DType::float32, 200, 1, 0);
  const Case cases[] = {
      {ErrorCode::dtype_mismatch,
       "int32",
       [&](Collectives& rank, CollectiveKey key, Address<CollectiveDone> to) {
         rank.all_reduce(key, input, {DType::int32}, std::move(to));
       }},
      {ErrorCode::shape_mismatch,
       "400",
       [&](Collectives& rank, CollectiveKey key, Address<CollectiveDone> to) {
         rank.all_reduce(key, some_values(DType::float32, 100, 1, 0), {}, std::move(to));
       }},
      {ErrorCode::invalid_argument,
       "max",
       [&](Collectives& rank, CollectiveKey key, Address<CollectiveDone> to) {
         rank.all_reduce(key, input, {DType::float32, Reduction::max}, std::move(to));
       }},
      {ErrorCode::invalid_argument,
       "all_gather",
       [&](Collectives& rank, CollectiveKey key, Address<CollectiveDone> to) {
         rank.all_gather(key, input, std::move(to));
       }},
  };
  for (const Case& wrong : cases)
    for (const std::uint32_t who : {0U, 2U}) {
      const auto carrier = make(3, small_pieces(true));
      const CollectiveKey key{1, 1};
      for (std::uint32_t rank = 0; rank < 3; ++rank) {
        if (rank == who)
          wrong.other(carrier->rank(rank), key, carrier->sink(rank));
        else
          carrier->rank(rank).all_reduce(key, input, {}, carrier->sink(rank));
      }
      carrier->run_until_ended(1);
      bool named = false;
      for (std::uint32_t rank = 0; rank < 3; ++rank) {
        const CollectiveDone done = carrier->endings(rank).once(key);
        INFO(done.error.what());
        CHECK(done.failed);
        CHECK(done.error.code() == wrong.code);
        named = named || done.error.message().find(wrong.says) != std::string::npos;
      }
      CHECK(named);
    }
}

}  // namespace troupe::testing
