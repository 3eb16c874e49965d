#include "collate.hpp"

#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_floating_point.hpp>

#include <algorithm>
#include <array>
#include <vector>

namespace troupe::data {
namespace {

using Catch::Matchers::WithinAbs;

/// `count` images; pixel i of image k of channel c is a number of its own below 256.
std::shared_ptr<const ImageSet> images(
    std::int64_t count, std::int64_t channels, std::int64_t height, std::int64_t width) {
  auto set = std::make_shared<ImageSet>();
  *set = {count, channels, height, width, {}, {}};
  const std::size_t bytes = static_cast<std::size_t>(count) * set->bytes_per_image();
  for (std::size_t i = 0; i < bytes; ++i)
    set->images.push_back(static_cast<std::byte>(1 + i % 255));
  for (std::int64_t k = 0; k < count; ++k) set->labels.push_back(static_cast<std::uint8_t>(k % 10));
  return set;
}

std::vector<float> collated(const Collate& collate, std::int64_t epoch, std::uint32_t sample) {
  std::vector<float> out(static_cast<std::size_t>(collate.input().elements()));
  std::int64_t label = 0;
  collate.make(epoch, std::span(&sample, 1), std::as_writable_bytes(std::span(out)).data(), &label);
  return out;
}

TEST_CASE("an image is a sample with one label", "[data]") {
  const ImageCollate collate(images(4, 2, 3, 5), {}, {}, {}, 0);
  CHECK(collate.samples() == 4);
  CHECK(collate.input() == Meta{DType::float32, {2, 3, 5}});
  CHECK(collate.label() == Shape{});
}

TEST_CASE("pixels are normalized channel by channel", "[data]") {
  const auto set = images(4, 2, 3, 3);
  const float mean[] = {0.5f, 0.25f};
  const float deviation[] = {0.5f, 2.0f};
  const ImageCollate collate(set, mean, deviation, {}, 0);

  const std::array<std::uint32_t, 2> samples{3, 1};
  std::vector<float> out(2 * set->bytes_per_image());
  std::array<std::int64_t, 2> labels{};
  collate.make(0, samples, std::as_writable_bytes(std::span(out)).data(), labels.data());

  CHECK(labels == std::array<std::int64_t, 2>{3, 1});
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t source = samples[i / 18] * 18 + i % 18;
    const std::size_t channel = i % 18 / 9;
    const double pixel = std::to_integer<int>(set->images[source]) / 255.0;
    CHECK_THAT(out[i], WithinAbs((pixel - mean[channel]) / deviation[channel], 1e-6));
  }
}

TEST_CASE("without mean and deviation pixels lie in [0, 1]", "[data]") {
  const ImageCollate collate(images(1, 1, 16, 16), {}, {}, {}, 0);
  const auto out = collated(collate, 0, 0);
  CHECK(*std::min_element(out.begin(), out.end()) == 1.0f / 255);
  CHECK(*std::max_element(out.begin(), out.end()) == 1.0f);
}

// Goal: an augmented image is one of the crops and flips that the options allow, and all occur.
// Method: each result is compared with every crop and flip computed here, over 200 epochs.
TEST_CASE("random crops and flips are cut out of the padded image", "[data]") {
  const auto set = images(3, 1, 4, 5);
  const ImageCollate collate(set, {}, {}, {.crop_padding = 1, .flip = true}, 11);
  bool seen[3][3][2] = {};
  for (int epoch = 0; epoch < 200; ++epoch) {
    const auto out = collated(collate, epoch, 2);
    int matches = 0;
    for (int down = -1; down <= 1; ++down)
      for (int right = -1; right <= 1; ++right)
        for (int flip = 0; flip < 2; ++flip) {
          bool same = true;
          for (int y = 0; y < 4; ++y)
            for (int x = 0; x < 5; ++x) {
              const int from_y = y + down;
              const int from_x = (flip ? 4 - x : x) + right;
              const bool inside = from_y >= 0 && from_y < 4 && from_x >= 0 && from_x < 5;
              const auto at = static_cast<std::size_t>(2 * 20 + from_y * 5 + from_x);
              const float expected =
                  inside ? static_cast<float>(std::to_integer<int>(set->images[at])) * (1.0f / 255)
                         : 0;
              same = same && out[static_cast<std::size_t>(y * 5 + x)] == expected;
            }
          if (same) {
            ++matches;
            seen[down + 1][right + 1][flip] = true;
          }
        }
    CHECK(matches == 1);
  }
  for (const auto& rows : seen)
    for (const auto& columns : rows)
      for (const bool one : columns) CHECK(one);
}

TEST_CASE("what is drawn for a sample depends on seed, epoch and sample alone", "[data]") {
  const auto set = images(40, 1, 8, 8);
  const Augment augment{.crop_padding = 2, .flip = true};
  const ImageCollate one(set, {}, {}, augment, 11);
  const ImageCollate same(set, {}, {}, augment, 11);
  const ImageCollate other(set, {}, {}, augment, 12);
  int different_seed = 0;
  int different_epoch = 0;
  for (std::uint32_t sample = 0; sample < 40; ++sample) {
    CHECK(collated(one, 5, sample) == collated(same, 5, sample));
    different_seed += collated(one, 5, sample) != collated(other, 5, sample);
    different_epoch += collated(one, 5, sample) != collated(one, 6, sample);
  }
  CHECK(different_seed > 20);
  CHECK(different_epoch > 20);
}

TEST_CASE("mean and deviation must fit the channels", "[data]") {
  const float one[] = {0.5f};
  CHECK_THROWS_AS(ImageCollate(images(1, 3, 2, 2), one, one, {}, 0), Error);
  CHECK_THROWS_AS(ImageCollate(images(1, 1, 2, 2), one, {}, {}, 0), Error);
  CHECK_THROWS_AS(ImageCollate(images(1, 1, 2, 2), {}, {}, {.crop_padding = -1}, 0), Error);
}

}  // namespace
}  // namespace troupe::data
