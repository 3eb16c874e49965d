#include "tuner.hpp"

#include "machine.hpp"

#include <troupe/core/sim_disk.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

// Goal: what the tuner decides, and what of it is kept. Method: trials are told, not run.
namespace troupe::vulkan {
namespace {

constexpr Tile reference{64, 4, 4, 8};
constexpr Tile slow{64, 4, 8, 8};
constexpr Tile fast{64, 8, 8, 8};
constexpr Tile fastest{256, 8, 8, 8};

struct Offer final : TiledLaunch {
  [[nodiscard]] std::vector<Tile> candidates(bool) const override { return tiles; }
  void encode(const Tile&, const TiledOperands&) override {}

  std::vector<Tile> tiles{slow, fast, fastest};
};

TileKey key_of(std::uint32_t rows = 128) {
  TileKey key;
  key.shader = find_shader("matmul_tiled", "float32");
  key.sizes[0] = TileKey::class_of(rows);
  key.reference = reference;
  return key;
}

TileOutcome honest(const Tile& tile) {
  TileOutcome outcome;
  outcome.ratio = tile == slow ? 1.2 : tile == fast ? 0.8 : 0.5;
  return outcome;
}

/// Launches until nothing is left to try; what the next launch gets.
Tile tune(
    Tuner& tuner,
    const TileKey& key = key_of(),
    const std::function<TileOutcome(const Tile&)>& outcome = honest,
    const Offer& offer = {}) {
  for (int launches = 0; tuner.choose(key, offer).open; ++launches) {
    REQUIRE(launches < 10);
    if (const auto candidate = tuner.next(key)) tuner.finish(key, *candidate, outcome(*candidate));
  }
  return tuner.choose(key, offer).tile;
}

struct Kept {
  sim::MemoryDisk disk;
  [[nodiscard]] std::unique_ptr<Tuner> open(
      Tuning tuning = Tuning::deterministic, const std::string& profile = "a GPU, driver 1") {
    return std::make_unique<Tuner>(tuning, disk, path, profile, false);
  }
  /// A run that tunes one key; whether it had to.
  bool run() {
    const auto tuner = open();
    CHECK(tune(*tuner) == fastest);
    tuner->save();
    return tuner->counts.trials > 0;
  }
  const std::string path = "cache/a-GPU.tiles";
};

}  // namespace

TEST_CASE("the fastest candidate wins, once all have been tried", "[vulkan]") {
  Kept kept;
  const auto tuner = kept.open();
  const Offer offer;
  CHECK(tuner->settled());
  for (const Tile& expected : offer.tiles) {
    const Tuner::Choice choice = tuner->choose(key_of(), offer);
    CHECK(choice.tile == reference);
    CHECK(choice.open);
    CHECK_FALSE(tuner->settled());
    CHECK(tuner->version() == 0);
    REQUIRE(tuner->next(key_of()) == expected);
    tuner->finish(key_of(), expected, honest(expected));
  }
  CHECK(tuner->settled());
  CHECK(tuner->version() == 1);
  CHECK(tuner->choose(key_of(), offer).tile == fastest);
  CHECK_FALSE(tuner->choose(key_of(), offer).open);
  CHECK_FALSE(tuner->next(key_of()));
  CHECK(tuner->counts.trials == 3);
  CHECK(tuner->counts.rejected == 0);
  CHECK(tuner->counts.decided == 1);
}

TEST_CASE("results may come late and in any order, and launches go on meanwhile", "[vulkan]") {
  Kept kept;
  const auto tuner = kept.open();
  const Offer offer;
  std::vector<Tile> tried;
  while (tuner->choose(key_of(), offer).open) tried.push_back(*tuner->next(key_of()));
  CHECK(tried == offer.tiles);
  CHECK_FALSE(tuner->settled());
  for (std::size_t i = tried.size(); i-- > 0;) tuner->finish(key_of(), tried[i], honest(tried[i]));
  CHECK(tuner->settled());
  CHECK(tuner->choose(key_of(), offer).tile == fastest);
}

TEST_CASE("the reference stays where nothing is clearly faster", "[vulkan]") {
  Kept kept;
  const auto tuner = kept.open();
  CHECK(
      tune(*tuner, key_of(), [](const Tile&) { return TileOutcome{.ratio = 0.99}; }) == reference);
  CHECK(tuner->version() == 0);
  CHECK(tuner->counts.decided == 1);
}

TEST_CASE("other bits lose, unless tuning is free", "[vulkan]") {
  Kept kept;
  const auto outcome = [](const Tile& tile) {
    TileOutcome out = honest(tile);
    out.other_bits = tile == fastest ? 1 : 0;
    return out;
  };
  const auto tuner = kept.open();
  CHECK(tune(*tuner, key_of(), outcome) == fast);
  CHECK(tuner->counts.rejected == 1);
  const auto free = kept.open(Tuning::free);
  CHECK(tune(*free, key_of(), outcome) == fastest);
  CHECK(free->counts.rejected == 0);
}

TEST_CASE("what is wrong or fails never wins", "[vulkan]") {
  for (const Tuning tuning : {Tuning::deterministic, Tuning::free}) {
    Kept kept;
    const auto tuner = kept.open(tuning);
    const Tile winner = tune(*tuner, key_of(), [](const Tile& tile) {
      TileOutcome out = honest(tile);
      if (tile == fastest) out.other_bits = out.wrong = 1;
      if (tile == fast) out.failed = true;
      return out;
    });
    CHECK(winner == reference);
    CHECK(tuner->counts.rejected == 2);
  }
}

TEST_CASE("nothing is tried when tuning is off", "[vulkan]") {
  Kept kept;
  CHECK(kept.run());
  const auto tuner = kept.open(Tuning::off);
  CHECK_FALSE(tuner->on());
  CHECK(tune(*tuner) == reference);
  CHECK(tuner->counts.trials == 0);
  CHECK(tuner->counts.recalled == 0);
}

TEST_CASE("trials end when they have taken long enough, and go on in the next run", "[vulkan]") {
  Kept kept;
  const auto tuner = kept.open();
  const auto dear = [](const Tile& tile) {
    TileOutcome out = honest(tile);
    out.cost_ns = Tuner::cost_ns_max / 2;
    return out;
  };
  CHECK(tune(*tuner, key_of(128), dear) == reference);
  CHECK(tuner->counts.trials == 2);
  CHECK(tune(*tuner, key_of(8)) == reference);
  CHECK(tuner->counts.trials == 2);
  CHECK(tuner->settled());
  tuner->save();
  CHECK(kept.run());
}

TEST_CASE("what there is no room to try stays as it is, for this run", "[vulkan]") {
  Kept kept;
  const auto tuner = kept.open();
  CHECK(tuner->choose(key_of(), Offer()).open);
  tuner->give_up(key_of());
  CHECK(tuner->settled());
  CHECK_FALSE(tuner->choose(key_of(), Offer()).open);
  tuner->save();
  CHECK(kept.run());
}

TEST_CASE("sizes are told apart by powers of two", "[vulkan]") {
  CHECK(TileKey::class_of(0) == TileKey::class_of(1));
  CHECK(TileKey::class_of(65) == TileKey::class_of(128));
  CHECK(TileKey::class_of(128) < TileKey::class_of(129));
  CHECK((1u << TileKey::class_of(100)) == 128);
}

TEST_CASE("what one run decided the next one knows", "[vulkan]") {
  Kept kept;
  CHECK(kept.run());
  const auto tuner = kept.open();
  const Tuner::Choice choice = tuner->choose(key_of(), Offer());
  CHECK(choice.tile == fastest);
  CHECK_FALSE(choice.open);
  CHECK(tuner->counts.recalled == 1);
  CHECK(tuner->settled());
  // Of another size it knows nothing, and what a run does not meet it keeps.
  const auto other = kept.open();
  CHECK(tune(*other, key_of(8), [](const Tile&) { return TileOutcome{}; }) == reference);
  other->save();
  CHECK_FALSE(kept.run());
  CHECK(kept.open()->choose(key_of(8), Offer()).tile == reference);
  CHECK_FALSE(kept.open()->choose(key_of(8), Offer()).open);
}

TEST_CASE("a run that decided nothing leaves the file alone", "[vulkan]") {
  Kept kept;
  kept.run();
  const auto tuner = kept.open();
  CHECK(tune(*tuner) == fastest);
  const std::uint64_t operations = kept.disk.operations();
  tuner->save();
  CHECK(kept.disk.operations() == operations);
}

TEST_CASE("a file that is not whole or not ours is ignored and written anew", "[vulkan]") {
  Kept kept;
  kept.run();
  const std::vector<std::byte> whole = kept.disk.read_all(kept.path).value();
  REQUIRE(whole.size() > 64);
  const auto ignored = [&](const std::vector<std::byte>& bad) {
    kept.disk.put(kept.path, bad);
    return kept.run() && !kept.run() && kept.disk.read_all(kept.path).value() == whole;
  };
  std::size_t believed = 0;
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::vector<std::byte> bad = whole;
    bad[at] ^= std::byte{1};
    believed += ignored(bad) ? 0 : 1;
    bad = whole;
    bad.resize(at);
    believed += ignored(bad) ? 0 : 1;
  }
  CHECK(believed == 0);
  std::vector<std::byte> longer = whole;
  longer.push_back(std::byte{0});
  CHECK(ignored(longer));
  std::vector<std::byte> older = whole;
  older[7] = std::byte{'0'};
  CHECK(ignored(older));
  CHECK(ignored(std::vector<std::byte>(whole.size())));
}

TEST_CASE("what another driver, mode or shader found is not taken", "[vulkan]") {
  Kept kept;
  kept.run();
  CHECK(kept.open(Tuning::deterministic, "a GPU, driver 2")->choose(key_of(), Offer()).open);
  CHECK(kept.open(Tuning::free)->choose(key_of(), Offer()).open);
  const Shader& own = *key_of().shader;
  std::vector<std::uint32_t> code(own.by_address.begin(), own.by_address.end());
  code.back() ^= 1;
  const Shader rebuilt{own.name, own.variant, own.bindings, code, own.by_descriptor};
  TileKey key = key_of();
  key.shader = &rebuilt;
  CHECK(kept.open()->choose(key, Offer()).open);
  TileKey other = key_of();
  other.variant = 1;
  CHECK(kept.open()->choose(other, Offer()).open);
  other = key_of();
  other.reference.depth = 4;
  CHECK(kept.open()->choose(other, Offer()).open);
  CHECK_FALSE(kept.open()->choose(key_of(), Offer()).open);
}

TEST_CASE("the file chooses among candidates, never something else", "[vulkan]") {
  Kept kept;
  kept.run();
  Offer fewer;
  fewer.tiles = {slow, fast};
  const auto tuner = kept.open();
  CHECK(tuner->choose(key_of(), fewer).tile == reference);
  CHECK(tuner->choose(key_of(), fewer).open);
}

TEST_CASE("a file that cannot be written does no harm", "[vulkan]") {
  Kept kept;
  const auto tuner = kept.open();
  tune(*tuner);
  kept.disk.fail_one_operation(0);
  tuner->save();
  CHECK_FALSE(kept.disk.exists(kept.path));
  tuner->save();
  CHECK(kept.disk.exists(kept.path));
}

}  // namespace troupe::vulkan
