#include "draws.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <vector>

using namespace troupe;
using nn::Draws;

TEST_CASE("draws are Philox's", "[nn]") {
  // Known answers of Salmon et al. for 10 rounds and zeros as counter and key.
  RandomState state{0, 0};
  Draws draws(state);
  for (const std::uint32_t expected : {0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u})
    CHECK(draws.uniform() == expected * 0x1p-32);
  CHECK(state.calls == 1);
}

TEST_CASE("each call draws other numbers, and the same ones from the same seed", "[nn]") {
  const auto first = [](std::uint64_t seed, std::uint64_t calls) {
    RandomState state{seed, calls};
    return Draws(state).uniform();
  };
  CHECK(first(1, 0) == first(1, 0));
  CHECK(first(1, 0) != first(1, 1));
  CHECK(first(1, 0) != first(2, 0));
}

TEST_CASE("normal draws have mean 0 and variance 1", "[nn]") {
  RandomState state{7, 0};
  Draws draws(state);
  const int count = 100'000;
  double sum = 0;
  double squares = 0;
  double fourths = 0;
  for (int i = 0; i < count; ++i) {
    const double x = draws.normal();
    sum += x;
    squares += x * x;
    fourths += x * x * x * x;
  }
  // Within about five standard deviations of the estimates.
  CHECK(std::abs(sum / count) < 0.016);
  CHECK(std::abs(squares / count - 1) < 0.023);
  CHECK(std::abs(fourths / count - 3) < 0.16);
}
