#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/dropout.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <vector>

using namespace troupe;

TEST_CASE("dropout zeroes and scales while training, and does nothing else", "[nn]") {
  test::Engine engine;
  engine.scope.seed(5);
  const nn::Dropout layer(0.25);
  const std::vector<float> ones(20'000, 1.0F);
  const Tensor x = Tensor::copy_of<float>(ones, {200, 100});

  const std::vector<float> y = layer(x).to_vector<float>();
  const auto zeros = static_cast<double>(std::count(y.begin(), y.end(), 0.0F));
  // 20,000 draws: a standard deviation of 61.
  CHECK(std::abs(zeros - 5000) < 300);
  CHECK(std::all_of(y.begin(), y.end(), [](float v) { return v == 0 || v == 1 / 0.75F; }));
  CHECK(layer(x).to_vector<float>() != y);

  engine.scope.seed(5);
  CHECK(layer(x).to_vector<float>() == y);
  layer.eval();
  CHECK(layer(x).to_vector<float>() == ones);
}

TEST_CASE("dropout refuses what is no probability", "[nn]") {
  test::Engine engine;
  CHECK_THROWS_AS(nn::Dropout(1.5), Error);
  CHECK_THROWS_AS(nn::Dropout(-0.1), Error);
}
