#include "layer_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/normalization.hpp>

using namespace troupe;
using nn::test::check_layer;

TEST_CASE("layer norm computes what PyTorch's does", "[nn]") {
  test::Engine engine;
  check_layer("layer_norm", nn::LayerNorm(5));
  check_layer("layer_norm_2d", nn::LayerNorm({3, 2}, 1e-5, true, false));
  check_layer("layer_norm_plain", nn::LayerNorm(5, 1e-5, false));
}

TEST_CASE("RMS norm computes what PyTorch's does", "[nn]") {
  test::Engine engine;
  check_layer("rms_norm", nn::RMSNorm(5));
  check_layer("rms_norm_2d", nn::RMSNorm({3, 2}, 1e-3));
  check_layer("rms_norm_plain", nn::RMSNorm(5, std::nullopt, false));
}

TEST_CASE("RMS norm has one parameter and says what it is", "[nn]") {
  test::Engine engine;
  const nn::RMSNorm layer(6);
  CHECK(layer.parameter_count() == 6);
  CHECK(layer.named_parameters()[0].first == "weight");
  CHECK(layer.type() == "RMSNorm");
  CHECK(layer.description() == "[6], eps=None, elementwise_affine=True");
  CHECK(
      nn::RMSNorm({2, 3}, 0.001, false).description() ==
      "[2, 3], eps=0.001, elementwise_affine=False");
  CHECK(nn::RMSNorm(6, std::nullopt, false).parameter_count() == 0);
}

TEST_CASE("batch norm computes what PyTorch's does, and moves its statistics", "[nn]") {
  test::Engine engine;
  check_layer("batch_norm1d", nn::BatchNorm1d(4), 2);
  check_layer("batch_norm1d_3d", nn::BatchNorm1d(3, 1e-5, std::nullopt), 4);
  check_layer("batch_norm2d", nn::BatchNorm2d(4), 3);
  check_layer("batch_norm2d_plain", nn::BatchNorm2d(4, 1e-5, 0.1, false), 2);
  check_layer("batch_norm2d_untracked", nn::BatchNorm2d(4, 1e-5, 0.1, true, false), 2);
}

TEST_CASE("batch norm only reads its statistics in eval mode", "[nn]") {
  test::Engine engine;
  const nn::BatchNorm2d layer(2);
  layer.eval();
  (void)layer(Tensor::copy_of<float>(test::numbers(16, 3), {2, 2, 2, 2})).to_vector<float>();
  CHECK(layer.running_mean().tensor().to_vector<float>() == std::vector<float>{0, 0});
  CHECK(layer.num_batches_tracked().tensor().item() == 0);
}

TEST_CASE("batch norm refuses inputs without statistics", "[nn]") {
  test::Engine engine;
  const Tensor one = Tensor::copy_of<float>(test::numbers(3, 1), {1, 3});
  CHECK_THROWS_AS(nn::BatchNorm1d(3)(one), Error);
  CHECK_THROWS_AS(nn::BatchNorm2d(3)(one), Error);
  CHECK_THROWS_AS(nn::BatchNorm1d(0), Error);
}
