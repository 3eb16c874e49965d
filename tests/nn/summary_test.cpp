#include "support/engine.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/activation.hpp>
#include <troupe/nn/conv2d.hpp>
#include <troupe/nn/dropout.hpp>
#include <troupe/nn/flatten.hpp>
#include <troupe/nn/linear.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/nn/pooling.hpp>
#include <troupe/nn/sequential.hpp>
#include <troupe/nn/summary.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

namespace {

nn::Sequential make_net() {
  return nn::Sequential{
      nn::Conv2d(1, 8, 3),
      nn::BatchNorm2d(8),
      nn::ReLU(),
      nn::MaxPool2d(2),
      nn::Flatten(),
      nn::Dropout(),
      nn::Linear(8 * 5 * 5, 10)};
}

}  // namespace

TEST_CASE("a summary lists layers, shapes and parameters", "[nn]") {
  test::Engine engine;
  CHECK(
      make_net().summary() ==
      "Sequential\n"
      "Layer (type)     Parameter shapes   Parameters\n"
      "----------------------------------------------\n"
      "0 (Conv2d)       [8, 1, 3, 3], [8]          80\n"
      "1 (BatchNorm2d)  [8], [8]                   16\n"
      "2 (ReLU)                                     0\n"
      "3 (MaxPool2d)                                0\n"
      "4 (Flatten)                                  0\n"
      "5 (Dropout)                                  0\n"
      "6 (Linear)       [10, 200], [10]         2,010\n"
      "----------------------------------------------\n"
      "Parameters: 2,106 (8.42 kB), in buffers: 17\n");
}

TEST_CASE("a summary with an input shows output shapes and changes nothing", "[nn]") {
  test::Engine engine;
  engine.scope.seed(3);
  const nn::Sequential net = make_net();
  const std::uint64_t calls = engine.scope.random().calls;
  CHECK(
      nn::summary(net, Meta{DType::float32, {4, 1, 12, 12}}) ==
      "Sequential\n"
      "Layer (type)     Output shape           Parameters\n"
      "--------------------------------------------------\n"
      "input            float32[4, 1, 12, 12]           0\n"
      "0 (Conv2d)       [4, 8, 10, 10]                 80\n"
      "1 (BatchNorm2d)  [4, 8, 10, 10]                 16\n"
      "2 (ReLU)         [4, 8, 10, 10]                  0\n"
      "3 (MaxPool2d)    [4, 8, 5, 5]                    0\n"
      "4 (Flatten)      [4, 200]                        0\n"
      "5 (Dropout)      [4, 200]                        0\n"
      "6 (Linear)       [4, 10]                     2,010\n"
      "--------------------------------------------------\n"
      "Parameters: 2,106 (8.42 kB), in buffers: 17\n");
  CHECK(engine.scope.random().calls == calls);
  CHECK(net.parameter("1.num_batches_tracked").tensor().item() == 0);
  CHECK_THROWS_AS(nn::summary(net, Meta{DType::float32, {4, 1, 14, 14}}), Error);
}

TEST_CASE("a summary counts what is frozen and what is shared once", "[nn]") {
  test::Engine engine;
  const nn::Linear shared(2, 2);
  const nn::Sequential net{shared, shared, nn::Linear(2, 1)};
  shared.requires_grad_(false);
  CHECK(net.summary().ends_with("Parameters: 9 (36 bytes), trainable: 3\n"));
}
