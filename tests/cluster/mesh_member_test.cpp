#include "mesh_member.hpp"

#include "collectives_suite.hpp"
#include "mesh_carriers.hpp"
#include "reference.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <string>
#include <utility>
#include <vector>

namespace troupe::testing {

using namespace cluster;

namespace {

constexpr CollectiveKey key{3, 1};

/// A world of one rank whose others are this test: it hears what the rank says to rank 1 and 2.
class Alone {
 public:
  explicit Alone(MeshOptions options = {}, std::uint64_t seed = 1) : world_(seed) {
    options.timeout_ns = 1'000'000'000;
    System& system = world_.system();
    member_.emplace(system, options);
    others_.push_back(system.spawn<Other>(*this));
    others_.push_back(system.spawn<Other>(*this));
    sink_ = spawn_sink(system, endings);
    enter(1);
  }
  ~Alone() {
    member_.reset();
    others_.clear();
    sink_ = {};
    heard = {};
    world_.run_until_idle();
    CHECK(world_.system().actors_alive() == 0);
    CHECK(world_.system().blocks_in_use() == 0);
  }

  void enter(std::uint64_t epoch) {
    member_->enter(
        {epoch, 0, {{"here", member_->address()}, {"one", others_[0]}, {"two", others_[1]}}});
    run();
  }
  void begin(CollectiveKey of = key, std::size_t elements = 10) {
    member_->all_reduce(of, some_values(DType::float32, elements, 1, 0), {}, sink_);
    run();
  }
  /// What rank `from` would send of the small all_reduce that begin() begins.
  static MeshPiece piece(std::uint32_t from, CollectiveKey of = key, std::uint64_t epoch = 1) {
    MeshTerms terms;
    terms.dtype = DType::float32;
    terms.shards = 3;
    terms.bytes = 40;
    terms.piece_bytes = MeshOptions().piece_bytes;
    return {epoch, from, of, terms, MeshPhase::give, 0, some_values(DType::float32, 10, 1, from)};
  }
  template <class M>
  void hear(M message) {
    member_->address().send(std::move(message));
    run();
  }
  void run() { world_.run_for(0); }
  void wait(std::int64_t ns) { world_.run_for(ns); }
  void lose(std::uint32_t rank, bool failed) {
    if (failed)
      stop(others_[rank - 1], Error(ErrorCode::peer_restarted, "it began anew"));
    else
      stop(others_[rank - 1]);
    run();
  }
  [[nodiscard]] const MeshCounters& counters() const { return member_->counters(); }
  MeshCollectives& member() { return *member_; }
  [[nodiscard]] Address<CollectiveDone> sink() const { return sink_; }

  Endings endings;
  std::vector<MeshAbort> heard;

 private:
  class Other final : public Actor<MeshPiece, MeshTaken, MeshAbort> {
   public:
    explicit Other(Alone& alone) : alone_(alone) {}

   private:
    friend ActorAccess;
    void on(MeshPiece&&) {}
    void on(MeshTaken) {}
    void on(MeshAbort&& abort) { alone_.heard.push_back(std::move(abort)); }
    Alone& alone_;
  };

  sim::World world_;
  std::optional<MeshCollectives> member_;
  std::vector<MeshAddress> others_;
  Address<CollectiveDone> sink_;
};

/// The error that the operation ended with; it must say so to both others too.
Error refused(Alone& alone) {
  const CollectiveDone done = alone.endings.once(key);
  INFO(done.error.what());
  CHECK(done.failed);
  REQUIRE(alone.heard.size() == 2);
  CHECK(alone.heard[0].key == key);
  CHECK(alone.heard[0].reason.code() == done.error.code());
  CHECK(done.error.op() == "all_reduce");
  CHECK(done.error.step() == 3);
  CHECK(done.error.message().find("all_reduce of step 3, bucket 1") != std::string::npos);
  return done.error;
}

}  // namespace

TEST_CASE("pieces that come before the call wait for it", "[cluster]") {
  Alone alone;
  alone.hear(Alone::piece(2));
  alone.hear(Alone::piece(1));
  CHECK(alone.endings.count() == 0);
  alone.begin();
  const CollectiveDone done = alone.endings.once(key);
  REQUIRE_FALSE(done.failed);
  std::vector<Bytes> shards;
  for (std::uint32_t s = 0; s < 3; ++s) shards.push_back(some_values(DType::float32, 10, 1, s));
  CHECK(equal(done.result.span(), serial_tree(DType::float32, Reduction::sum, shards, 0, 3)));
}

TEST_CASE("messages of another epoch are counted and nothing else", "[cluster]") {
  Alone alone;
  alone.enter(2);
  alone.begin();
  alone.hear(Alone::piece(1, key, 1));
  alone.hear(MeshAbort{1, 1, key, Error(ErrorCode::stopped, "old")});
  alone.hear(MeshTaken{1, 1, key, MeshPhase::give, 1});
  CHECK(alone.counters().other_epoch == 3);
  // Of one that is still to come: kept, until it comes.
  alone.hear(Alone::piece(1, key, 3));
  alone.hear(Alone::piece(2, key, 3));
  alone.hear(Alone::piece(2, key, 4));
  CHECK(alone.endings.count() == 0);
  alone.hear(Alone::piece(1, key, 2));
  alone.hear(Alone::piece(2, key, 2));
  CHECK_FALSE(alone.endings.once(key).failed);
  alone.enter(3);
  alone.begin();  // the key serves again
  CHECK(alone.endings.count() == 2);
  CHECK(alone.endings.failures() == 0);
  alone.enter(5);
  CHECK(alone.counters().other_epoch == 4);
}

TEST_CASE("a piece that cannot be right ends its operation with an error", "[cluster]") {
  const bool early = GENERATE(false, true);
  Alone alone;
  if (!early) alone.begin();
  SECTION("sizes that do not fit") {
    MeshPiece piece = Alone::piece(1);
    piece.data = Bytes::copy_of(std::vector<std::byte>(44));
    alone.hear(std::move(piece));
    if (early) alone.begin();
    const Error error = refused(alone);
    CHECK(error.code() == ErrorCode::wire_corrupt);
    CHECK(error.message().find("rank 1 (one) sent a piece of 44 bytes") != std::string::npos);
  }
  SECTION("another dtype") {
    MeshPiece piece = Alone::piece(2);
    piece.terms.dtype = DType::int64;
    alone.hear(std::move(piece));
    if (early) alone.begin();
    const Error error = refused(alone);
    CHECK(error.code() == ErrorCode::dtype_mismatch);
    CHECK(error.message().find("rank 2 (two) says dtype int64") != std::string::npos);
  }
  SECTION("twice") {
    alone.hear(Alone::piece(2));
    alone.hear(Alone::piece(2));
    if (early) alone.begin();
    CHECK(refused(alone).code() == ErrorCode::wire_corrupt);
  }
}

TEST_CASE("a rank that lies about itself ends its operation with an error", "[cluster]") {
  const bool early = GENERATE(false, true);
  const std::uint32_t from = GENERATE(0U, 3U, ~0U);
  Alone alone;
  if (!early) alone.begin();
  alone.hear(Alone::piece(from));
  CHECK(alone.counters().refused == 1);
  REQUIRE(alone.heard.size() == 2);
  if (early) alone.begin();
  CHECK(alone.endings.once(key).error.code() == ErrorCode::wire_corrupt);
  // Nothing of it is left.
  alone.begin({4, 1});
  alone.hear(Alone::piece(1, {4, 1}));
  alone.hear(Alone::piece(2, {4, 1}));
  CHECK_FALSE(alone.endings.once({4, 1}).failed);
}

TEST_CASE("an operation that others gave up ends when it is begun", "[cluster]") {
  Alone alone;
  alone.hear(MeshAbort{1, 2, key, Error(ErrorCode::stopped, "it was canceled")});
  CHECK(alone.endings.count() == 0);
  alone.begin();
  const Error error = alone.endings.once(key).error;
  CHECK(error.code() == ErrorCode::stopped);
  CHECK(error.message() == "all_reduce of step 3, bucket 1: rank 2 (two) gave up: it was canceled");
  CHECK(alone.heard.empty());  // who began it is told by who gave it up
}

TEST_CASE("other messages that cannot be right are counted", "[cluster]") {
  Alone alone;
  alone.begin();
  alone.hear(MeshTaken{1, 3, key, MeshPhase::give, 1});
  alone.hear(MeshTaken{1, 0, key, MeshPhase::give, 1});
  alone.hear(MeshTaken{9, 1, key, MeshPhase::give, 1});
  alone.hear(MeshAbort{1, 3, key, Error(ErrorCode::stopped, "nobody")});
  CHECK(alone.counters().refused == 4);
  CHECK(alone.endings.count() == 0);
  alone.hear(MeshTaken{1, 1, key, MeshPhase::give, 2});
  CHECK(refused(alone).code() == ErrorCode::wire_corrupt);
}

TEST_CASE("what comes after the end is counted and nothing else", "[cluster]") {
  Alone alone;
  alone.begin();
  alone.hear(Alone::piece(1));
  alone.hear(Alone::piece(2));
  CHECK_FALSE(alone.endings.once(key).failed);
  alone.hear(Alone::piece(2));
  alone.hear(MeshAbort{1, 1, key, Error(ErrorCode::stopped, "late")});
  alone.hear(MeshTaken{1, 1, key, MeshPhase::give, 1});
  CHECK(alone.counters().late == 3);
  CHECK(alone.endings.count() == 1);
  // A key serves once.
  alone.begin();
  CHECK(alone.endings.count() == 2);
  CHECK(alone.heard.empty());
}

TEST_CASE("a key that is in use is refused, and its operation goes on", "[cluster]") {
  Alone alone;
  alone.begin();
  alone.begin();
  CHECK(alone.endings.once(key).error.code() == ErrorCode::invalid_argument);
  alone.hear(Alone::piece(1));
  alone.hear(Alone::piece(2));
  CHECK(alone.endings.count() == 2);
}

TEST_CASE("pieces of operations not begun have a quota", "[cluster]") {
  MeshOptions options;
  options.early_bytes_max = 10'000;
  Alone alone(options);
  const CollectiveKey large{5, 0};
  MeshPiece piece = Alone::piece(1, large);
  piece.data = Bytes::copy_of(std::vector<std::byte>(4'500));
  alone.hear(piece);
  CHECK(alone.counters().dropped == 0);
  alone.hear(Alone::piece(1));  // of another, which is kept
  piece.index = 1;
  alone.hear(piece);
  CHECK(alone.counters().dropped == 1);
  CHECK(alone.heard.size() == 2);
  alone.begin(large);
  const Error error = alone.endings.once(large).error;
  CHECK(error.code() == ErrorCode::overload);
  CHECK(error.message().find("rank 1 (one)") != std::string::npos);
  // Its room is free again.
  for (std::uint32_t i = 0; i < 7; ++i) alone.hear(Alone::piece(1, {6, i}));
  CHECK(alone.counters().dropped == 1);
  alone.hear(Alone::piece(2));
  alone.begin();
  CHECK_FALSE(alone.endings.once(key).failed);
}

TEST_CASE("the quota is free again after each operation, and after a loss", "[cluster]") {
  MeshOptions options;
  options.early_bytes_max = 10'000;
  Alone alone(options);
  for (std::uint32_t i = 0; i < 30; ++i) {
    alone.hear(Alone::piece(1, {6, i}));
    alone.begin({6, i});
    alone.hear(Alone::piece(2, {6, i}));
    CHECK_FALSE(alone.endings.once({6, i}).failed);
  }
  for (std::uint32_t i = 0; i < 9; ++i) alone.hear(Alone::piece(1, {7, i}));
  alone.lose(2, true);
  for (std::uint32_t i = 0; i < 9; ++i) alone.hear(Alone::piece(1, {7, i}, 2));
  CHECK(alone.counters().dropped == 0);
}

TEST_CASE("pieces of later groups have the same quota", "[cluster]") {
  MeshOptions options;
  options.early_bytes_max = 10'000;
  Alone alone(options);
  for (std::uint32_t i = 0; i < 12; ++i) alone.hear(Alone::piece(1, {6, i}, 2));
  CHECK(alone.counters().dropped == 3);  // 9 of 1,064 bytes fit
  alone.enter(2);
  alone.begin({6, 0});
  alone.hear(Alone::piece(2, {6, 0}, 2));
  CHECK_FALSE(alone.endings.once({6, 0}).failed);
}

TEST_CASE("pieces whose operation is never begun go after a time", "[cluster]") {
  Alone alone;
  alone.hear(Alone::piece(1));
  alone.wait(2'000'000'000);
  CHECK(alone.heard.size() == 2);
  alone.begin();
  CHECK(alone.endings.once(key).error.code() == ErrorCode::timed_out);
}

TEST_CASE("an earlier deadline is not held up by a later one", "[cluster]") {
  Alone alone;
  alone.begin();
  ReduceOptions soon;
  soon.deadline_ns = 10'000'000;
  alone.member().all_reduce({4, 0}, some_values(DType::float32, 10, 1, 0), soon, alone.sink());
  alone.wait(20'000'000);
  CHECK(alone.endings.count() == 1);
  CHECK(alone.endings.once({4, 0}).error.code() == ErrorCode::timed_out);
}

TEST_CASE("each operation has a time of its own", "[cluster]") {
  Alone alone;  // with a second for each
  alone.hear(Alone::piece(1));
  alone.wait(500'000'000);
  alone.hear(Alone::piece(1, {4, 0}));
  alone.begin({5, 0});
  alone.wait(700'000'000);
  CHECK(alone.endings.count() == 0);
  alone.hear(Alone::piece(2, {4, 0}));
  alone.begin({4, 0});
  CHECK_FALSE(alone.endings.once({4, 0}).failed);
  alone.wait(400'000'000);
  CHECK(alone.endings.once({5, 0}).error.code() == ErrorCode::timed_out);
}

// Goal: what a rank is ahead of another is bounded for all operations together, and none waits for
// another. Method: a rank begins many and the other none, then those alone that came last.
TEST_CASE("a rank that has not begun anything is sent a window and two pieces each", "[cluster]") {
  const auto seed = GENERATE(take(20, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  MeshOptions options;
  options.piece_bytes = 64;
  options.window_bytes = 640;
  options.early_bytes_max = 30 * (64 + 1024);  // ten pieces, and two of each of ten operations
  WorldCarrier carrier(2, options, seed);
  const Bytes input = some_values(DType::float32, 1000, 1, 0);
  const auto begin = [&](std::uint32_t rank, std::uint64_t step) {
    Collectives& here = carrier.rank(rank);
    if (step % 3 == 0) here.all_reduce({step, 0}, input, {}, carrier.sink(rank));
    if (step % 3 == 1) here.all_gather({step, 0}, input, carrier.sink(rank));
    if (step % 3 == 2) here.broadcast({step, 0}, 0, input, input.size(), carrier.sink(rank));
  };
  for (std::uint64_t step = 0; step < 10; ++step) begin(0, step);
  while (carrier.run_turns(1000) > 1000) {
  }
  CHECK(carrier.endings(0).count() == 0);
  for (std::uint64_t step = 10; step-- > 0;) {
    begin(1, step);
    carrier.run_until([&] { return carrier.endings(1).count() == 10 - step; });
    CHECK_FALSE(carrier.endings(1).once({step, 0}).failed);
  }
  carrier.run_until_ended(10);
  CHECK(carrier.rank(1).counters().dropped == 0);
}

TEST_CASE("the error of a lost rank says who and why", "[cluster]") {
  const bool failed = GENERATE(false, true);
  Alone alone;
  alone.begin();
  alone.lose(2, failed);
  const CollectiveDone done = alone.endings.once(key);
  CHECK(done.error.code() == ErrorCode::peer_down);
  CHECK(
      done.error.message() ==
      std::string("all_reduce of step 3, bucket 1: rank 2 (two) has ended") +
          (failed ? ": it began anew" : " as it wished"));
  // Until there is another group, every call ends so; what others send is late.
  alone.begin({4, 0});
  CHECK(alone.endings.once({4, 0}).error.code() == ErrorCode::peer_down);
  alone.hear(Alone::piece(1, {5, 0}));
  CHECK(alone.counters().late == 1);
}

TEST_CASE("an operation ends with `stopped` when its rank goes", "[cluster]") {
  sim::World world{1};
  Endings endings;
  {
    MeshCollectives here(world.system());
    MeshCollectives there(world.system());
    here.enter({1, 0, {{"here", here.address()}, {"there", there.address()}}});
    here.barrier(key, spawn_sink(world.system(), endings));
  }
  world.run_until_idle();
  CHECK(endings.once(key).error.code() == ErrorCode::stopped);
  CHECK(world.system().actors_alive() == 0);
}

// Goal: whatever other ranks send, operations end once each, and nothing is left. Method: messages
// with numbers that are right, nearly right and wild, in a random order.
TEST_CASE("nonsense ends operations, never the process", "[cluster][simulation]") {
  const auto seed = GENERATE(take(200, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  MeshOptions options;
  options.early_bytes_max = 20'000;
  Alone alone(options, seed);
  std::uint64_t state = seed;
  const auto draw = [&](std::uint64_t below) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 33) % below;
  };
  const auto odd = [&](std::uint64_t right) {
    const std::uint64_t others[] = {0, 1, right + 1, right - 1, ~0ull, 1ull << 40};
    return draw(8) == 0 ? others[draw(6)] : right;
  };
  std::uint64_t begun = 0;
  for (int i = 0; i < 60; ++i) {
    const CollectiveKey of{draw(12), 0};
    if (draw(4) == 0 && begun < 12) alone.begin({begun++, 0});
    MeshPiece piece = Alone::piece(static_cast<std::uint32_t>(odd(1 + draw(2))), of, odd(1));
    piece.terms.kind = static_cast<CollectiveKind>(odd(0));
    piece.terms.dtype = static_cast<DType>(odd(0));
    piece.terms.bytes = odd(40);
    piece.terms.shards = static_cast<std::uint32_t>(odd(3));
    piece.phase = static_cast<MeshPhase>(odd(0));
    piece.index = odd(0);
    if (draw(8) == 0) piece.data = Bytes::copy_of(std::vector<std::byte>(draw(5'000)));
    const std::uint32_t from = piece.from;
    const std::uint64_t epoch = piece.epoch;
    if (draw(10) == 0) alone.hear(MeshTaken{epoch, from, of, piece.phase, odd(1)});
    if (draw(20) == 0) alone.hear(MeshAbort{epoch, from, of, Error(ErrorCode::stopped, "so")});
    alone.hear(std::move(piece));
  }
  alone.wait(3'000'000'000);
  for (std::uint64_t step = 0; step < begun; ++step) (void)alone.endings.once({step, 0});
  CHECK(alone.endings.count() == begun);
}

}  // namespace troupe::testing
