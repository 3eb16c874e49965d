#include "host_device.hpp"
#include "loader_actors.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/data/loader.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace troupe::data {
namespace {

using test::HostDevice;

/// Image k is two pixels that name it: k / 256 and k % 256. Its label is k % 7.
std::shared_ptr<const ImageSet> numbered(std::int64_t count) {
  auto set = std::make_shared<ImageSet>();
  *set = {count, 1, 1, 2, {}, {}};
  for (std::int64_t k = 0; k < count; ++k) {
    set->images.push_back(static_cast<std::byte>(k / 256));
    set->images.push_back(static_cast<std::byte>(k % 256));
    set->labels.push_back(static_cast<std::uint8_t>(k % 7));
  }
  return set;
}

/// The numbers of the images in a batch, whose labels must fit.
std::vector<std::int64_t> numbers_in(const Batch& batch) {
  std::vector<std::int64_t> numbers;
  const auto pixels = batch.inputs.to_vector<float>();
  const auto labels = batch.labels.to_vector<std::int64_t>();
  REQUIRE(batch.inputs.shape() == Shape{batch.samples(), 1, 1, 2});
  for (std::size_t i = 0; i < labels.size(); ++i) {
    numbers.push_back(
        std::lround(pixels[2 * i] * 255) * 256 + std::lround(pixels[2 * i + 1] * 255));
    CHECK(labels[i] == numbers.back() % 7);
  }
  return numbers;
}

using Epoch = std::vector<std::vector<std::int64_t>>;

Epoch rest_of_epoch(Loader& loader) {
  Epoch epoch;
  while (const auto batch = loader.next()) epoch.push_back(numbers_in(*batch));
  return epoch;
}

Epoch epoch_of(Loader& loader, std::int64_t number, std::int64_t first_batch = 0) {
  loader.begin_epoch(number, first_batch);
  return rest_of_epoch(loader);
}

/// What the rest of an epoch ends with: "" when it ends well.
std::string end_of_epoch(Loader& loader) {
  try {
    while (loader.next()) {
    }
  } catch (const Error& error) {
    return error.message();
  }
  return "";
}

/// A sampler that dies instead of dealing.
class BrokenSampler final : public Actor<Begin> {
 public:
  static constexpr std::string_view name = "test.broken_sampler";

 private:
  friend ActorAccess;
  void on(const Begin&) { throw Error(ErrorCode::internal, "planted in the sampler"); }
};

struct Fixture {
  explicit Fixture(unsigned threads = 2) : system(with_threads(threads)) {}
  System::Options with_threads(unsigned threads) {
    System::Options options;
    options.threads = threads;
    options.log = [this](LogLevel, std::string_view) { ++logged; };
    return options;
  }
  Loader loader(std::int64_t count, LoaderOptions options) {
    return Loader(device, numbered(count), {}, {}, options);
  }

  std::atomic<int> logged{0};  // lines
  // Goes after the system, in whose last messages there may be batches of its memory.
  std::unique_ptr<HostDevice> owner;
  System system;
  HostDevice& device{*(owner = std::make_unique<HostDevice>(system))};
};

}  // namespace

TEST_CASE("an epoch holds every sample once", "[data]") {
  Fixture fixture;
  Loader loader = fixture.loader(1003, {.batch_size = 10, .seed = 3});
  CHECK(loader.batches() == 101);
  CHECK(loader.samples() == 1003);
  const Epoch epoch = epoch_of(loader, 0);
  REQUIRE(epoch.size() == 101);
  std::set<std::int64_t> all;
  for (std::size_t i = 0; i < epoch.size(); ++i) {
    CHECK(epoch[i].size() == (i < 100 ? 10u : 3u));
    all.insert(epoch[i].begin(), epoch[i].end());
  }
  CHECK(all.size() == 1003);
  CHECK_FALSE(loader.next());
}

// Goal: batches depend on (seed, epoch) alone.
TEST_CASE("the same batches come with any number of threads and workers", "[data]") {
  const auto run = [](unsigned threads, unsigned workers, unsigned prefetch) {
    Fixture fixture(threads);
    Loader loader =
        fixture.loader(500, {.batch_size = 8, .seed = 3, .workers = workers, .prefetch = prefetch});
    return std::pair(epoch_of(loader, 0), epoch_of(loader, 1));
  };
  const auto expected = run(1, 1, 1);
  CHECK(expected.first != expected.second);
  const auto [threads, workers, prefetch] = GENERATE(
      table<unsigned, unsigned, unsigned>({{1, 3, 5}, {2, 2, 4}, {4, 1, 2}, {4, 4, 9}, {4, 7, 1}}));
  CAPTURE(threads, workers, prefetch);
  CHECK(run(threads, workers, prefetch) == expected);
}

TEST_CASE("an epoch can be entered in its middle, and left for another", "[data]") {
  Fixture fixture;
  Loader loader = fixture.loader(200, {.batch_size = 8, .seed = 3, .workers = 3});
  const Epoch whole = epoch_of(loader, 4);
  for (const std::int64_t first : {1, 7, 24, 25}) {
    const Epoch rest(whole.begin() + first, whole.end());
    CHECK(epoch_of(loader, 4, first) == rest);
  }
  // Left at any moment, with batches of the old epoch still being made.
  for (int taken = 0; taken < 12; ++taken) {
    loader.begin_epoch(taken);
    for (int i = 0; i < taken; ++i) CHECK(loader.next());
    CHECK(epoch_of(loader, 4) == whole);
  }
}

TEST_CASE("without shuffling the samples come in the set's order", "[data]") {
  Fixture fixture;
  Loader loader = fixture.loader(20, {.batch_size = 8, .shuffle = false, .drop_last = true});
  CHECK(epoch_of(loader, 9) == Epoch{{0, 1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 11, 12, 13, 14, 15}});
}

TEST_CASE("samples_max takes the first samples only", "[data]") {
  Fixture fixture;
  Loader loader = fixture.loader(100, {.batch_size = 8, .seed = 1, .samples_max = 12});
  CHECK(loader.batches() == 2);
  for (const auto& batch : epoch_of(loader, 0))
    CHECK(std::all_of(batch.begin(), batch.end(), [](std::int64_t number) { return number < 12; }));
}

// Goal: credit bounds what is made ahead. Method: memory is counted by the addresses that batches
// lie at: with `prefetch` made and one held, there can be no more blocks than prefetch + 1.
// Goal: a loader of some shards makes their rows alone, as they are in the whole batch.
TEST_CASE("loaders of some shards make the rows of the whole batches", "[data]") {
  Fixture fixture;
  // Batches of 10, then one of 3: fewer than shards.
  const LoaderOptions whole{.batch_size = 10, .seed = 3};
  Loader all = fixture.loader(43, whole);
  const Epoch expected = epoch_of(all, 2);
  REQUIRE(expected.back().size() == 3);
  for (const Shards shards :
       {Shards{.of = 4, .first = 0, .count = 1},
        Shards{.of = 4, .first = 1, .count = 2},
        Shards{.of = 4, .first = 3},
        Shards{.of = 4}}) {
    CAPTURE(shards.first, shards.count);
    LoaderOptions options = whole;
    options.shards = shards;
    Loader some = fixture.loader(43, options);
    CHECK(some.samples() == 43);
    CHECK(some.batches() == 5);
    some.begin_epoch(2);
    for (const std::vector<std::int64_t>& batch : expected) {
      const auto part = some.next();
      REQUIRE(part);
      const auto rows = static_cast<std::int64_t>(batch.size());
      const ShardRows here = shards.rows_here(rows);
      CHECK(part->rows == rows);
      CHECK(part->first_row == here.begin);
      CHECK(numbers_in(*part) == std::vector(batch.begin() + here.begin, batch.begin() + here.end));
    }
    CHECK_FALSE(some.next());
  }
}

TEST_CASE("a row of a shard is cropped and flipped as in the whole batch", "[data]") {
  Fixture fixture;
  LoaderOptions options{.batch_size = 8, .seed = 3, .augment = {.crop_padding = 1, .flip = true}};
  Loader whole = fixture.loader(16, options);
  options.shards = {.of = 2, .first = 1};
  Loader half = fixture.loader(16, options);
  whole.begin_epoch(0);
  half.begin_epoch(0);
  while (const auto batch = whole.next()) {
    const auto part = half.next();
    REQUIRE(part);
    const auto pixels = batch->inputs.to_vector<float>();
    CHECK(part->inputs.to_vector<float>() == std::vector(pixels.begin() + 8, pixels.end()));
  }
}

TEST_CASE("no more is made ahead than the credit", "[data]") {
  Fixture fixture(4);
  Loader loader = fixture.loader(4000, {.batch_size = 4, .workers = 4, .prefetch = 3});
  std::set<const std::byte*> blocks;
  loader.begin_epoch(0);
  while (const auto batch = loader.next())
    blocks.insert(HostDevice::address(batch->inputs.value()));
  CHECK(blocks.size() <= 4);
}

TEST_CASE("a batch is whole for as long as somebody holds it", "[data]") {
  Fixture fixture;
  Loader loader = fixture.loader(400, {.batch_size = 4, .seed = 2});
  loader.begin_epoch(0);
  std::vector<Batch> held;
  Epoch read;
  while (auto batch = loader.next()) {
    read.push_back(numbers_in(*batch));
    held.push_back(std::move(*batch));
  }
  for (std::size_t i = 0; i < held.size(); ++i) CHECK(numbers_in(held[i]) == read[i]);
}

TEST_CASE("an epoch whose last batches wait for credit comes to its end", "[data]") {
  Fixture fixture;
  Loader loader = fixture.loader(40, {.batch_size = 4});
  // Each batch alone is larger than this window, so the others wait with the prefetcher.
  StreamReader<Batch> reader(fixture.system, {.messages = 4, .bytes = 1});
  loader.stream_epoch(reader.address(), 0, 0);
  int batches = 0;
  while (reader.next()) ++batches;
  CHECK(batches == 10);
}

TEST_CASE("a loader leaves no actor behind", "[data]") {
  Fixture fixture;
  {
    Loader loader = fixture.loader(400, {.batch_size = 4});
    loader.begin_epoch(0);
    CHECK(loader.next());
  }
  fixture.system.wait_until(
      [&] { return fixture.system.actors_alive() == 0; }, "the loader's actors to end");
  CHECK(fixture.system.actors_alive() == 0);
}

TEST_CASE("a decoder that dies ends the epoch with its error, and every later one", "[data]") {
  Fixture fixture;
  {
    Loader loader = fixture.loader(4000, {.batch_size = 4});
    loader.begin_epoch(0);
    CHECK(loader.next());
    fixture.device.broken = true;
    CHECK(end_of_epoch(loader).find("planted") != std::string::npos);
    fixture.device.broken = false;
    loader.begin_epoch(1);
    CHECK(end_of_epoch(loader).find("planted") != std::string::npos);
  }
  fixture.system.wait_until(
      [&] { return fixture.system.actors_alive() == 0; }, "the loader's actors to end");
}

TEST_CASE("a loader whose device broke goes on on another, with the same batches", "[data]") {
  Fixture fixture;
  HostDevice second(fixture.system);
  {
    Loader loader = fixture.loader(40, {.batch_size = 4, .seed = 3});
    const Epoch whole = epoch_of(loader, 2);
    loader.begin_epoch(2);
    fixture.device.broken = true;
    CHECK(end_of_epoch(loader).find("planted") != std::string::npos);
    CHECK(fixture.logged == 0);  // who reads the epoch is told, and nobody else
    loader.to(second);
    loader.begin_epoch(2, 5);
    const auto batch = loader.next();
    REQUIRE(batch);
    CHECK(&batch->inputs.value()->device() == &second);
    CHECK(numbers_in(*batch) == whole[5]);
    CHECK(rest_of_epoch(loader) == Epoch(whole.begin() + 6, whole.end()));

    System other(System::Options{.threads = 1});
    HostDevice elsewhere(other);
    CHECK_THROWS_AS(loader.to(elsewhere), Error);
  }
  fixture.system.wait_until(
      [&] { return fixture.system.actors_alive() == 0; }, "the loader's actors to end");
}

TEST_CASE("a sampler that dies ends the epoch with its error", "[data]") {
  Fixture fixture;
  StreamReader<Batch> reader(fixture.system, {.messages = 2});
  (void)fixture.system.spawn<Prefetcher>(
      reader.address(),
      Address<Begin>(fixture.system.spawn<BrokenSampler>()),
      std::vector<Address<>>(),
      0,
      5);
  try {
    (void)reader.next();
    FAIL("gave a batch");
  } catch (const Error& error) {
    CHECK(error.message().find("planted in the sampler") != std::string::npos);
  }
}

TEST_CASE("options out of range are refused at the call", "[data]") {
  Fixture fixture;
  const auto code_of = [&](std::int64_t count, LoaderOptions options) {
    try {
      (void)fixture.loader(count, options);
      return ErrorCode::internal;
    } catch (const Error& error) {
      CHECK_FALSE(error.hint().empty());
      return error.code();
    }
  };
  CHECK(code_of(0, {}) == ErrorCode::invalid_argument);
  CHECK(code_of(9, {.batch_size = 0}) == ErrorCode::invalid_argument);
  CHECK(code_of(9, {.batch_size = 10, .drop_last = true}) == ErrorCode::invalid_argument);
  CHECK(code_of(9, {.samples_max = -1}) == ErrorCode::invalid_argument);
  CHECK(code_of(9, {.workers = 0}) == ErrorCode::invalid_argument);
  CHECK(code_of(9, {.prefetch = 0}) == ErrorCode::invalid_argument);
  Loader loader = fixture.loader(9, {});
  CHECK_THROWS_AS((void)loader.next(), Error);
  CHECK_THROWS_AS(loader.begin_epoch(-1), Error);
}

}  // namespace troupe::data
