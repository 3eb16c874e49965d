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
