#include "layer_check.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/linear.hpp>

using namespace troupe;
using nn::test::check_layer;

TEST_CASE("a linear layer computes what PyTorch's does", "[nn]") {
  test::Engine engine;
  check_layer("linear", nn::Linear(5, 3));
  check_layer("linear_3d_no_bias", nn::Linear(5, 3, false));
}

TEST_CASE("a linear layer begins as PyTorch's does", "[nn]") {
  test::Engine engine;
  const nn::Linear layer(64, 30);
  CHECK(layer.weight().shape() == Shape{30, 64});
  CHECK(layer.bias().shape() == Shape{30});
  // Both even in ±1/√64.
  for (const Parameter& parameter : layer.parameters()) {
    double largest = 0;
    for (const float x : parameter.tensor().to_vector<float>())
      largest = std::max(largest, std::abs(static_cast<double>(x)));
    CHECK(largest <= 0.125);
    CHECK(largest > 0.11);
  }
  CHECK(nn::to_string(layer) == "Linear(in_features=64, out_features=30, bias=True)");
}

TEST_CASE("a linear layer names the line that gave it a wrong shape", "[nn]") {
  test::Engine engine;
  const nn::Linear layer(5, 3);
  const Tensor x = Tensor::copy_of<float>(test::numbers(8, 1), {2, 4});
  const std::uint32_t line = __LINE__ + 2;
  try {
    (void)layer(x);
    FAIL("nothing was thrown");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::shape_mismatch);
    CHECK(error.line() == line);
    CHECK(error.file().ends_with("linear_test.cpp"));
  }
  CHECK_THROWS_AS(nn::Linear(-1, 3), Error);
}
