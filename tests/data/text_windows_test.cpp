#include "text_windows.hpp"

#include "host_device.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/data/loader.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace troupe::data {
namespace {

using test::HostDevice;

/// Byte k is k % 251: a prime, so that windows of no usual context look alike.
std::shared_ptr<const Text> counting(std::int64_t bytes) {
  auto text = std::make_shared<Text>();
  for (std::int64_t k = 0; k < bytes; ++k) text->bytes.push_back(static_cast<std::byte>(k % 251));
  return text;
}

struct Fixture {
  explicit Fixture(unsigned threads) : system(System::Options{.threads = threads}) {}

  // Goes after the system, in whose last messages there may be batches of its memory.
  std::unique_ptr<HostDevice> owner;
  System system;
  HostDevice& device{*(owner = std::make_unique<HostDevice>(system))};
};

/// Of each batch of an epoch, the inputs; the labels must be the bytes that follow.
std::vector<std::vector<std::int64_t>> epoch_of(Loader& loader, std::int64_t epoch) {
  std::vector<std::vector<std::int64_t>> batches;
  loader.begin_epoch(epoch);
  while (const auto batch = loader.next()) {
    batches.push_back(batch->inputs.to_vector<std::int64_t>());
    const auto labels = batch->labels.to_vector<std::int64_t>();
    REQUIRE(batch->inputs.shape() == batch->labels.shape());
    REQUIRE(batch->inputs.shape() == Shape{batch->samples(), loader.sample_shape()[0]});
    for (std::size_t i = 0; i < labels.size(); ++i)
      CHECK(labels[i] == (batches.back()[i] + 1) % 251);
  }
  return batches;
}

}  // namespace

TEST_CASE("an epoch goes once through the text", "[data]") {
  // 33 bytes: 8 windows of 4 and what the last one's label is. One byte less has 7.
  for (const auto& [bytes, windows] : {std::pair(33, 8), std::pair(32, 7), std::pair(5, 1)}) {
    const TextWindows still(counting(bytes), 4, false, 1);
    CHECK(still.samples() == windows);
    for (std::int64_t epoch = 0; epoch < 10; ++epoch) CHECK(still.first_byte(epoch) == 0);
  }
  Fixture fixture(2);
  Loader loader(fixture.device, counting(33), 4, {.batch_size = 3, .shuffle = false});
  CHECK(loader.samples() == 8);
  CHECK(loader.batches() == 3);
  const auto batches = epoch_of(loader, 0);
  REQUIRE(batches.size() == 3);
  std::vector<std::int64_t> all;
  for (const auto& batch : batches) all.insert(all.end(), batch.begin(), batch.end());
  REQUIRE(all.size() == 32);
  for (std::size_t i = 0; i < all.size(); ++i) CHECK(all[i] == static_cast<std::int64_t>(i));
}

// Goal: where an epoch begins to cut moves over all places, within the text.
TEST_CASE("cuts that move begin at each of the first places", "[data]") {
  for (const std::int64_t bytes : {5, 6, 8, 9, 33, 34, 36}) {
    CAPTURE(bytes);
    const TextWindows moving(counting(bytes), 4, true, 1);
    std::set<std::int64_t> seen;
    for (std::int64_t epoch = 0; epoch < 100; ++epoch) seen.insert(moving.first_byte(epoch));
    CHECK(*seen.begin() == 0);
    // Five bytes have no room to move in; nine have a window to give up for it.
    CHECK(static_cast<std::int64_t>(seen.size()) == std::min<std::int64_t>(4, bytes - 4));
    CHECK(*seen.rbegin() + moving.samples() * 4 + 1 <= bytes);
    CHECK(*seen.rbegin() + (moving.samples() + 1) * 4 + 1 > bytes - 4);
  }
}

// Goal: batches depend on (seed, epoch) alone.
TEST_CASE("the same windows come with any number of threads and workers", "[data]") {
  const auto run = [](unsigned threads, LoaderOptions options) {
    Fixture fixture(threads);
    Loader loader(fixture.device, counting(1000), 7, options);
    return std::pair(epoch_of(loader, 0), epoch_of(loader, 1));
  };
  const auto expected = run(1, {.batch_size = 8, .seed = 3, .workers = 1, .prefetch = 1});
  CHECK(expected.first != expected.second);
  CHECK(expected != run(1, {.batch_size = 8, .seed = 4, .workers = 1, .prefetch = 1}));
  const auto [threads, workers, prefetch] =
      GENERATE(table<unsigned, unsigned, unsigned>({{2, 2, 4}, {4, 3, 2}, {4, 7, 1}}));
  CAPTURE(threads, workers, prefetch);
  CHECK(
      run(threads, {.batch_size = 8, .seed = 3, .workers = workers, .prefetch = prefetch}) ==
      expected);
}

TEST_CASE("a text without a window, and one to be cropped, are refused", "[data]") {
  Fixture fixture(1);
  const auto refused = [&](std::shared_ptr<const Text> text, std::int64_t context) {
    try {
      (void)Loader(fixture.device, std::move(text), context);
    } catch (const Error& error) {
      CHECK_FALSE(error.hint().empty());
      return error.code() == ErrorCode::invalid_argument;
    }
    return false;
  };
  CHECK(refused(counting(4), 4));
  CHECK(refused(counting(0), 4));
  CHECK(refused(nullptr, 4));
  CHECK(refused(counting(40), 0));
  CHECK(refused(counting(40), -1));
  CHECK_FALSE(refused(counting(5), 4));
  CHECK_THROWS_AS(Loader(fixture.device, counting(40), 4, {.augment = {.flip = true}}), Error);
}

}  // namespace troupe::data
