#include "support/adder.hpp"
#include "support/engine.hpp"

#include <troupe/tensor/creation.hpp>
#include <troupe/tensor/exchange.hpp>

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <vector>

using namespace troupe;

namespace {

Tensor filled(const Shape& shape, float value) {
  return Tensor::copy_of<float>(
      std::vector<float>(static_cast<std::size_t>(elements_in(shape)), value), shape);
}

template <class Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("it did not throw");
  return {};
}

}  // namespace

TEST_CASE("an exchange gives sums in the tensors' shapes, once it is over", "[tensor]") {
  test::Engine engine;
  const auto adder = std::make_shared<test::Adder>(engine.system, 100.0F);
  const std::vector<std::vector<Tensor>> contributions{
      {filled({2, 3}, 1), filled({4}, 2)}, {filled({2, 3}, 10), filled({4}, 20)}};
  const std::vector<Tensor> sums = exchange(adder, 7, contributions);
  REQUIRE(sums.size() == 2);
  CHECK(sums[0].shape() == Shape{2, 3});
  CHECK(sums[1].shape() == Shape{4});
  REQUIRE(adder->begun(7));
  adder->finish(7);
  CHECK(sums[0].to_vector<float>() == std::vector<float>(6, 111));
  CHECK(sums[1].to_vector<float>() == std::vector<float>(4, 122));
}

TEST_CASE("an exchange that fails says why to whoever reads it", "[tensor]") {
  test::Engine engine;
  const auto adder = std::make_shared<test::Adder>(engine.system, 0.0F);
  const std::vector<std::vector<Tensor>> one{{filled({2}, 1)}};
  const std::vector<Tensor> sums = exchange(adder, 1, one);
  adder->finish(1, Error(ErrorCode::peer_down, "peer 'b' is gone"));
  const Error error = error_of([&] { (void)sums[0].to_vector<float>(); });
  CHECK(error.code() == ErrorCode::peer_down);
  CHECK(error.message() == "peer 'b' is gone");
  CHECK(error.op() == "exchange");
}

TEST_CASE("contributions that do not fit each other are refused at the call", "[tensor]") {
  test::Engine engine;
  const auto adder = std::make_shared<test::Adder>(engine.system, 0.0F);
  const std::vector<std::vector<Tensor>> shapes{{filled({2}, 1)}, {filled({3}, 1)}};
  CHECK(error_of([&] { (void)exchange(adder, 1, shapes); }).code() == ErrorCode::shape_mismatch);
  const std::vector<std::vector<Tensor>> dtypes{
      {filled({2}, 1), Tensor::copy_of<double>(std::vector<double>(2), {2})}};
  CHECK(error_of([&] { (void)exchange(adder, 1, dtypes); }).code() == ErrorCode::dtype_mismatch);
  CHECK(adder->order.empty());
}
