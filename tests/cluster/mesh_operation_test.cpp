#include "mesh_operation.hpp"

#include "reference.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

namespace troupe::testing {

using namespace cluster;

namespace {

MeshOptions small_pieces() {
  MeshOptions options;
  options.piece_bytes = 64;
  options.window_bytes = 192;
  options.latency_bytes = 0;
  return options;
}

/// All ranks' sides of one operation, and what is on the way between them. Pieces of one stream may
/// overtake each other.
class Sides {
 public:
  struct OnTheWay {
    std::uint32_t to;
    MeshPiece piece;
    std::vector<std::byte> as_sent;
  };

  Sides(CollectiveCall call, const std::vector<std::vector<Bytes>>& inputs, MeshOptions options)
      : windows(inputs.size()), buffers_(std::make_shared<Buffers>(0)) {
    for (auto& window : windows)
      window.assign(inputs.size(), options.window_bytes / options.piece_bytes);
    const auto ranks = static_cast<std::uint32_t>(inputs.size());
    std::shared_ptr<const ReductionPlan> plan;
    if (call.shards != 0) plan = std::make_shared<ReductionPlan>(ranks, call.shards);
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      sides.push_back(std::make_unique<MeshOperation>(
          MeshOperation::Setting{
              rank, ranks, options.fan_out, MeshOperation::terms_of(call, ranks, options), plan},
          inputs[rank],
          *buffers_));
    for (std::uint32_t rank = 0; rank < ranks; ++rank) send(rank);
  }

  void send(std::uint32_t rank) {
    while (auto next = sides[rank]->next(windows[rank])) {
      MeshPiece piece{1, rank, {1, 1}, sides[rank]->terms(), next->phase, next->index, next->data};
      const auto data = next->data.span();
      on_the_way.push_back({next->to, piece, {data.begin(), data.end()}});
      sent.push_back(on_the_way.back());
    }
  }

  /// Hands one over.
  void arrive(std::size_t which) {
    std::swap(on_the_way[which], on_the_way.back());
    const OnTheWay one = std::move(on_the_way.back());
    on_the_way.pop_back();
    MeshOperation& side = *sides[one.to];
    CHECK(side.check(one.piece).ok());
    side.take(one.piece);
    const std::uint32_t from = one.piece.from;
    if (const std::uint64_t taken = side.acknowledgement(from, one.piece.phase)) {
      CHECK(sides[from]->acknowledged(one.to, one.piece.phase, taken, windows[from]).ok());
      send(from);
    }
    send(one.to);
  }

  std::vector<std::unique_ptr<MeshOperation>> sides;
  std::vector<OnTheWay> on_the_way;
  std::vector<OnTheWay> sent;
  std::vector<MeshOperation::Windows> windows;

 private:
  std::shared_ptr<Buffers> buffers_;
};

CollectiveCall all_reduce_of(std::uint64_t bytes, std::uint32_t shards) {
  CollectiveCall call;
  call.kind = CollectiveKind::all_reduce;
  call.dtype = DType::float32;
  call.shards = shards;
  call.bytes = bytes;
  return call;
}

std::vector<Bytes> shards_of(std::uint32_t shards, std::size_t elements) {
  std::vector<Bytes> values;
  for (std::uint32_t s = 0; s < shards; ++s)
    values.push_back(some_values(DType::float32, elements, 5, s));
  return values;
}

std::vector<std::vector<Bytes>> inputs_of(std::uint32_t ranks, const std::vector<Bytes>& shards) {
  std::vector<std::vector<Bytes>> inputs;
  for (std::uint32_t rank = 0; rank < ranks; ++rank)
    inputs.push_back(subtrees_of(rank, ranks, DType::float32, Reduction::sum, shards));
  return inputs;
}

}  // namespace

TEST_CASE("pieces may come in any order, and none is written to once it was sent", "[cluster]") {
  const auto seed = GENERATE(take(40, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  const auto ranks = static_cast<std::uint32_t>(2 + seed % 4);
  const auto shards_in_all = static_cast<std::uint32_t>(ranks + seed / 7 % 5);
  const auto shards = shards_of(shards_in_all, 300);
  MeshOptions options = small_pieces();
  if (seed % 3 == 0) options.latency_bytes = 1U << 30;
  Sides sides(all_reduce_of(1200, shards_in_all), inputs_of(ranks, shards), options);
  std::uint64_t drawn = seed;
  while (!sides.on_the_way.empty()) {
    drawn = drawn * 6364136223846793005 + 1442695040888963407;
    sides.arrive((drawn >> 33) % sides.on_the_way.size());
  }
  const auto sum = serial_tree(DType::float32, Reduction::sum, shards, 0, shards_in_all);
  for (const auto& side : sides.sides) {
    REQUIRE(side->done());
    CHECK(equal(side->result().span(), sum));
  }
  for (const auto& one : sides.sent) CHECK(equal(one.piece.data.span(), one.as_sent));
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    sides.sides[rank]->leave(sides.windows[rank]);
    CHECK(sides.windows[rank] == MeshOperation::Windows(ranks, 3));
  }
}

TEST_CASE("a rank is at most its window ahead of one that has not begun", "[cluster]") {
  const auto shards = shards_of(3, 3000);
  Sides sides(all_reduce_of(12'000, 3), inputs_of(3, shards), small_pieces());
  // Two pieces and the window's three each, to two others, of three ranks; nobody has taken any.
  CHECK(sides.on_the_way.size() == 30);
  // Rank 0 takes what is for it: the others may send on, to it alone.
  const auto from_to = [&](std::uint32_t from, std::uint32_t to) {
    return std::count_if(sides.sent.begin(), sides.sent.end(), [&](const auto& one) {
      return one.piece.from == from && one.to == to;
    });
  };
  for (std::size_t round = 0; round < 50; ++round) {
    const auto next =
        std::find_if(sides.on_the_way.begin(), sides.on_the_way.end(), [](const auto& one) {
          return one.to == 0 && one.piece.from == 1;
        });
    if (next == sides.on_the_way.end()) break;
    sides.arrive(static_cast<std::size_t>(next - sides.on_the_way.begin()));
  }
  CHECK(from_to(1, 0) > 50);
  CHECK(from_to(1, 2) == 5);
  CHECK(from_to(2, 0) == 5);
}

TEST_CASE("what does not fit is told from what does", "[cluster]") {
  const auto shards = shards_of(3, 300);
  Sides sides(all_reduce_of(1200, 3), inputs_of(3, shards), small_pieces());
  const MeshOperation& side = *sides.sides[0];
  const auto sound = std::find_if(sides.sent.begin(), sides.sent.end(), [](const auto& one) {
                       return one.to == 0;
                     })->piece;
  REQUIRE(side.check(sound).ok());
  const auto code_of = [&](auto&& change) {
    MeshPiece piece = sound;
    change(piece);
    const auto fits = side.check(piece);
    return fits.ok() ? ErrorCode::internal : fits.error().code();
  };
  using enum ErrorCode;
  // 400 bytes are 7 pieces, of which the last has 16.
  CHECK(code_of([](MeshPiece& p) { p.index = 7; }) == wire_corrupt);
  CHECK(code_of([](MeshPiece& p) { p.index = ~0ull; }) == wire_corrupt);
  CHECK(code_of([](MeshPiece& p) { p.index = 6; }) == wire_corrupt);
  CHECK(code_of([](MeshPiece& p) { p.data = {}; }) == wire_corrupt);
  CHECK(code_of([](MeshPiece& p) {
          p.data = Bytes::copy_of(std::vector<std::byte>(65));
        }) == wire_corrupt);
  CHECK(code_of([](MeshPiece& p) { p.phase = static_cast<MeshPhase>(2); }) == wire_corrupt);
  CHECK(code_of([](MeshPiece& p) { p.terms.dtype = DType::float64; }) == dtype_mismatch);
  CHECK(code_of([](MeshPiece& p) { p.terms.dtype = static_cast<DType>(99); }) == dtype_mismatch);
  CHECK(code_of([](MeshPiece& p) { p.terms.bytes = ~0ull; }) == shape_mismatch);
  CHECK(code_of([](MeshPiece& p) { p.terms.kind = CollectiveKind::barrier; }) == invalid_argument);
  CHECK(code_of([](MeshPiece& p) {
          p.terms.kind = static_cast<CollectiveKind>(77);
        }) == invalid_argument);
  CHECK(code_of([](MeshPiece& p) { p.terms.reduction = Reduction::min; }) == invalid_argument);
  CHECK(code_of([](MeshPiece& p) { p.terms.shards = 4; }) == invalid_argument);
  CHECK(code_of([](MeshPiece& p) { p.terms.root = 1; }) == invalid_argument);
  CHECK(code_of([](MeshPiece& p) { p.terms.parted = false; }) == invalid_argument);
  CHECK(code_of([](MeshPiece& p) { p.terms.piece_bytes = 128; }) == invalid_argument);
  sides.sides[0]->take(sound);
  CHECK(code_of([](MeshPiece&) {}) == wire_corrupt);  // twice

  MeshOperation::Windows& windows = sides.windows[0];
  CHECK(windows[1] == 0);
  CHECK(sides.sides[0]->acknowledged(1, MeshPhase::give, 2, windows).ok());
  CHECK(windows[1] == 2);
  CHECK(sides.sides[0]->acknowledged(1, MeshPhase::give, 1, windows).ok());  // known already
  CHECK(windows[1] == 2);
  CHECK_FALSE(sides.sides[0]->acknowledged(1, MeshPhase::give, 6, windows).ok());
  CHECK_FALSE(sides.sides[0]->acknowledged(1, MeshPhase::result, 1, windows).ok());
  CHECK_FALSE(sides.sides[0]->acknowledged(1, static_cast<MeshPhase>(5), 0, windows).ok());
}

TEST_CASE("a stream that nobody expects is told", "[cluster]") {
  // Of a broadcast by rank 0 in parts, the root gets nothing.
  CollectiveCall call;
  call.kind = CollectiveKind::broadcast;
  call.bytes = 1000;
  const Bytes input = some_values(DType::uint8, 1000, 1, 1);
  Sides sides(call, {{input}, {}, {}}, small_pieces());
  MeshPiece piece = sides.sent.front().piece;
  piece.from = 1;
  CHECK_FALSE(sides.sides[0]->check(piece).ok());
  piece.phase = MeshPhase::result;
  CHECK_FALSE(sides.sides[0]->check(piece).ok());
}

TEST_CASE("an operation that ends early gives back what it took of windows", "[cluster]") {
  const auto shards = shards_of(3, 3000);
  Sides sides(all_reduce_of(12'000, 3), inputs_of(3, shards), small_pieces());
  CHECK(sides.windows[0] == MeshOperation::Windows{3, 0, 0});
  sides.sides[0]->leave(sides.windows[0]);
  CHECK(sides.windows[0] == MeshOperation::Windows{3, 3, 3});
  sides.sides[0]->leave(sides.windows[0]);
  CHECK(sides.windows[0] == MeshOperation::Windows{3, 3, 3});
}

TEST_CASE("a broadcast ends at its root when it was taken", "[cluster]") {
  const bool parted = GENERATE(false, true);
  CollectiveCall call;
  call.kind = CollectiveKind::broadcast;
  call.bytes = 60;
  MeshOptions options = small_pieces();
  if (!parted) options.latency_bytes = 1000;
  Sides sides(call, {{some_values(DType::uint8, 60, 1, 1)}, {}, {}}, options);
  CHECK(sides.on_the_way.size() == 2);
  CHECK_FALSE(sides.sides[0]->done());
  sides.arrive(1);
  CHECK_FALSE(sides.sides[0]->done());
  while (!sides.on_the_way.empty()) sides.arrive(0);
  for (const auto& side : sides.sides) CHECK(side->done());
}

TEST_CASE("everything goes to everybody as long as that is sooner", "[cluster]") {
  MeshOptions options;
  options.latency_bytes = 60'000;
  const auto parted = [&](CollectiveKind kind, std::uint32_t ranks, std::uint64_t bytes) {
    CollectiveCall call = all_reduce_of(bytes, ranks);
    call.kind = kind;
    return MeshOperation::terms_of(call, ranks, options).parted;
  };
  using enum CollectiveKind;
  CHECK_FALSE(parted(all_reduce, 2, 1ULL << 30));  // the same bytes either way
  CHECK_FALSE(parted(all_reduce, 4, 40'000));      // 1.5 times the bytes more
  CHECK(parted(all_reduce, 4, 40'004));
  CHECK(parted(reduce_scatter, 2, 4));
  CHECK_FALSE(parted(broadcast, 2, 1ULL << 30));
  CHECK_FALSE(parted(broadcast, 4, 30'000));
  CHECK(parted(broadcast, 4, 30'001));
  CHECK_FALSE(parted(all_gather, 4, 1ULL << 30));
}

}  // namespace troupe::testing
