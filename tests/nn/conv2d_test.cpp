#include "layer_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/conv2d.hpp>

using namespace troupe;
using nn::test::check_layer;

TEST_CASE("a convolution computes what PyTorch's does", "[nn]") {
  test::Engine engine;
  check_layer("conv2d", nn::Conv2d(4, 3, 3));
  check_layer("conv2d_groups", nn::Conv2d(4, 6, 3, 2, 1, 1, 2));
  check_layer("conv2d_dilation", nn::Conv2d(4, 2, {3, 2}, {2, 1}, {2, 1}, {1, 2}, 1, false));
}

TEST_CASE("a convolution begins as PyTorch's does", "[nn]") {
  test::Engine engine;
  const nn::Conv2d layer(8, 12, 3, 1, 1, 1, 2);
  CHECK(layer.weight().shape() == Shape{12, 4, 3, 3});
  // Both even in ±1/√(4·3·3).
  for (const Parameter& parameter : layer.parameters()) {
    double largest = 0;
    for (const float x : parameter.tensor().to_vector<float>())
      largest = std::max(largest, std::abs(static_cast<double>(x)));
    CHECK(largest <= 1.0 / 6);
    CHECK(largest > 0.1);
  }
  CHECK(nn::to_string(layer) == "Conv2d(8, 12, kernel_size=3, stride=1, padding=1, groups=2)");
}

TEST_CASE("a convolution refuses settings that no convolution has", "[nn]") {
  test::Engine engine;
  CHECK_THROWS_AS(nn::Conv2d(0, 2, 3), Error);
  CHECK_THROWS_AS(nn::Conv2d(3, 2, 3, 1, 0, 1, 2), Error);
  CHECK_THROWS_AS(nn::Conv2d(2, 2, 3, 0), Error);
  CHECK_THROWS_AS(nn::Conv2d(2, 2, {3, 0}), Error);
  CHECK_THROWS_AS(nn::Conv2d(2, 2, 3, 1, -1), Error);
}
