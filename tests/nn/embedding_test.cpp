#include "layer_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/embedding.hpp>

using namespace troupe;
using nn::test::check_layer;

TEST_CASE("an embedding computes what PyTorch's does", "[nn]") {
  test::Engine engine;
  check_layer("embedding", nn::Embedding(5, 3));
  check_layer("embedding_padding", nn::Embedding(4, 3, 1));
}

TEST_CASE("an embedding's padding row begins as zeros", "[nn]") {
  test::Engine engine;
  const nn::Embedding layer(4, 3, -1);
  const std::vector<float> rows = layer.weight().tensor().to_vector<float>();
  CHECK(std::vector<float>(rows.end() - 3, rows.end()) == std::vector<float>{0, 0, 0});
  CHECK(rows[0] != 0);
  CHECK_THROWS_AS(nn::Embedding(4, 3, 4), Error);
  CHECK_THROWS_AS(nn::Embedding(4, 3, -5), Error);
}
