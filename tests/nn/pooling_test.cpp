#include "layer_check.hpp"

#include <troupe/nn/pooling.hpp>

using namespace troupe;
using nn::test::check_layer;

TEST_CASE("pooling computes what PyTorch's does", "[nn]") {
  test::Engine engine;
  check_layer("max_pool2d", nn::MaxPool2d(2));
  check_layer("max_pool2d_overlapping", nn::MaxPool2d(3, 2, 1));
  check_layer("max_pool2d_ceil", nn::MaxPool2d({3, 2}, {}, 0, 1, true));
  check_layer("avg_pool2d", nn::AvgPool2d(2));
  check_layer("avg_pool2d_padded", nn::AvgPool2d(3, 2, 1));
  check_layer("avg_pool2d_uncounted", nn::AvgPool2d(3, 2, 1, false, false));
  check_layer("adaptive_avg_pool2d", nn::AdaptiveAvgPool2d({3, 4}));
}
