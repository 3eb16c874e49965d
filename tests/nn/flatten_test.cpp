#include "layer_check.hpp"

#include <troupe/nn/flatten.hpp>

using namespace troupe;

TEST_CASE("flatten makes rows of features", "[nn]") {
  test::Engine engine;
  nn::test::check_layer("flatten", nn::Flatten());
  const Tensor x = Tensor::copy_of<float>(test::numbers(24, 1), {2, 3, 4});
  CHECK(nn::Flatten(0, 1)(x).shape() == Shape{6, 4});
}

TEST_CASE("identity gives back its input", "[nn]") {
  test::Engine engine;
  const Tensor x = Tensor::copy_of<float>(test::numbers(4, 1), {4});
  CHECK(nn::Identity()(x).to_vector<float>() == x.to_vector<float>());
}
