#include "layer_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/attention.hpp>

using namespace troupe;
using nn::test::check_layer;

TEST_CASE("attention computes what PyTorch's does", "[nn]") {
  test::Engine engine;
  check_layer("attention", nn::CausalSelfAttention(6, 3));
}

TEST_CASE("attention drops weights while it trains alone", "[nn]") {
  test::Engine engine;
  const nn::CausalSelfAttention layer(8, 2, 0.5);
  const Tensor x = Tensor::copy_of<float>(test::numbers(2 * 5 * 8, 1), {2, 5, 8});
  const auto y = [&] { return layer(x).to_vector<float>(); };
  CHECK(y() != y());
  layer.eval();
  CHECK(y() == y());
}

TEST_CASE("attention without bias has weights alone", "[nn]") {
  test::Engine engine;
  const nn::CausalSelfAttention layer(8, 2, 0, false);
  CHECK(layer.parameter_count() == 8 * 24 + 8 * 8);
  CHECK(layer.type() == "CausalSelfAttention");
  CHECK(layer.description() == "embed_dim=8, num_heads=2, dropout=0, bias=False");
}

TEST_CASE("attention refuses sizes that do not fit, at the call", "[nn]") {
  test::Engine engine;
  CHECK_THROWS_AS(nn::CausalSelfAttention(8, 3), Error);
  CHECK_THROWS_AS(nn::CausalSelfAttention(0, 1), Error);
  CHECK_THROWS_AS(nn::CausalSelfAttention(8, 0), Error);
  CHECK_THROWS_AS(nn::CausalSelfAttention(8, 2, 1.5), Error);
  const nn::CausalSelfAttention layer(8, 2);
  for (const Shape& shape : {Shape{5, 8}, Shape{1, 5, 9}, Shape{1, 1, 5, 8}}) {
    CAPTURE(to_string(shape));
    try {
      (void)layer(Tensor::copy_of<float>(
          std::vector<float>(static_cast<std::size_t>(elements_in(shape))), shape));
      FAIL("was accepted");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::shape_mismatch);
      CHECK(error.op() == "attention");
      CHECK(error.file().ends_with("attention_test.cpp"));
    }
  }
}
