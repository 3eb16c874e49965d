#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/tensor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <vector>

using namespace troupe;

TEST_CASE("from() borrows the caller's memory until no tensor sees it", "[tensor]") {
  test::Engine engine;
  auto elements = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4});
  const std::weak_ptr<std::vector<float>> alive = elements;
  Tensor x = Tensor::from(std::span<const float>(*elements), {2, 2}, elements);
  elements.reset();
  CHECK_FALSE(alive.expired());
  Tensor row = select(x, 0, 1);
  x = Tensor();
  CHECK(row.to_vector<float>() == std::vector<float>{3, 4});
  row = Tensor();
  CHECK(alive.expired());
}

TEST_CASE("a tensor needs as many elements as its shape says", "[tensor]") {
  test::Engine engine;
  const std::vector<float> six(6);
  CHECK_THROWS_AS(Tensor::copy_of<float>(six, {2, 2}), Error);
  CHECK_THROWS_AS(Tensor::copy_of<float>(six, {-2, -3}), Error);
  CHECK_THROWS_AS(Tensor::copy_of<float>(six, {6}).to_vector<double>(), Error);
  CHECK_THROWS_AS(Tensor::copy_of<float>(six, {6}).item(), Error);
}

TEST_CASE("empty tensors are tensors", "[tensor]") {
  test::Engine engine;
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{}, {0, 3});
  CHECK((x + 1.0f).shape() == Shape{0, 3});
  CHECK(sum(x).item() == 0);
  CHECK((x * 2.0f).to_vector<float>().empty());
}

TEST_CASE("downloads gather strided elements in row-major order", "[tensor]") {
  test::Engine engine;
  const Tensor x =
      Tensor::copy_of<std::int32_t>(std::vector<std::int32_t>{0, 1, 2, 3, 4, 5}, {2, 3});
  CHECK(
      transpose(x, 0, 1).to_vector<std::int32_t>() == std::vector<std::int32_t>{0, 3, 1, 4, 2, 5});
  CHECK(x.size(-1) == 3);
  CHECK_THROWS_AS(x.size(2), Error);
}
