#include "support/engine.hpp"

#include <troupe/tensor/all_ops.hpp>
#include <troupe/tensor/record.hpp>
#include <troupe/tensor/shared_meta.hpp>

#include <catch2/catch_test_macros.hpp>

#include <vector>

using namespace troupe;

TEST_CASE("a shared meta fits its own device, dtype and shape only", "[tensor]") {
  test::Engine engine;
  test::Engine other;
  const Ref<SharedMeta> meta = SharedMeta::make(engine.device, {DType::float32, {2, 3}});
  CHECK(meta->fits(engine.device, {DType::float32, {2, 3}}));
  CHECK_FALSE(meta->fits(engine.device, {DType::float64, {2, 3}}));
  CHECK_FALSE(meta->fits(engine.device, {DType::float32, {3, 2}}));
  CHECK_FALSE(meta->fits(other.device, {DType::float32, {2, 3}}));
}

TEST_CASE("a chain of ops on one shape holds it once, values and records alike", "[tensor]") {
  test::Engine engine;
  const Tensor x = Tensor::copy_of<float>(std::vector<float>{1, 2}, {2});
  const Tensor y = relu(x * x + x);
  CHECK(y.record()->shared_meta(0) == x.record()->shared_meta(0));
  CHECK(y.value()->shared_meta() == x.value()->shared_meta());
  const Tensor total = sum(y);
  CHECK_FALSE(total.record()->shared_meta(0) == x.record()->shared_meta(0));
  CHECK(total.shape() == Shape{});
}
