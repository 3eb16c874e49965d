#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/reduce_to.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

using namespace troupe;

TEST_CASE("a gradient is summed over the axes that were broadcast", "[tensor]") {
  test::Engine engine;
  const Tensor g = Tensor::copy_of<double>(std::vector<double>{1, 2, 3, 4, 5, 6}, {2, 3});
  CHECK(reduce_to(g, {DType::float64, {2, 3}}).record() == g.record());
  CHECK(reduce_to(g, {DType::float64, {3}}).to_vector<double>() == std::vector<double>{5, 7, 9});
  CHECK(reduce_to(g, {DType::float64, {2, 1}}).to_vector<double>() == std::vector<double>{6, 15});
  CHECK(reduce_to(g, {DType::float64, {}}).item() == 21);
  const Tensor narrow = reduce_to(g, {DType::float32, {1, 1, 1}});
  CHECK(narrow.dtype() == DType::float32);
}

TEST_CASE("16-bit gradients are added in float32 and rounded", "[tensor]") {
  test::Engine engine;
  const auto narrow = [](std::vector<float> numbers, const Shape& shape) {
    return cast(Tensor::copy_of<float>(numbers, shape), DType::float16);
  };
  const auto numbers = [](const Tensor& x) { return cast(x, DType::float32).to_vector<float>(); };
  // Added one by one in float16, 2,048 would stay what it is.
  const Tensor sum = reduce_to(narrow({2048, 1, 1, 0.5f}, {4, 1}), {DType::float16, {1}});
  CHECK(sum.dtype() == DType::float16);
  CHECK(numbers(sum) == std::vector<float>{2050});
  const Tensor both = add_gradients(narrow({2048, 1}, {2}), narrow({3, 0.5f}, {2}));
  CHECK(both.dtype() == DType::float16);
  CHECK(numbers(both) == std::vector<float>{2052, 1.5f});
  const Tensor single = Tensor::copy_of<float>(std::vector<float>{1, 2}, {2});
  CHECK(add_gradients(single, single).to_vector<float>() == std::vector<float>{2, 4});
}
