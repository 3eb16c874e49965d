#include "support/engine.hpp"

#include <troupe/tensor/value.hpp>

#include <catch2/catch_test_macros.hpp>

using namespace troupe;

TEST_CASE("a view knows whether it is row-major", "[tensor]") {
  test::Engine engine;
  const Meta meta{DType::float32, {2, 3}};
  const Value whole = ValueBody::make(meta, engine.device.allocate(meta.bytes()));
  CHECK(whole->contiguous());
  const Value turned = ValueBody::view(whole, {DType::float32, {3, 2}}, {1, 3}, 0);
  CHECK_FALSE(turned->contiguous());
  const Value row = ValueBody::view(whole, {DType::float32, {1, 3}}, {99, 1}, 3);
  CHECK(row->contiguous());  // the stride of an axis of one says nothing
  CHECK(row->offset() == 3);
  const Value empty = ValueBody::view(whole, {DType::float32, {0, 3}}, {7, 7}, 0);
  CHECK(empty->contiguous());
}

TEST_CASE("a failed value carries its error and no data", "[tensor]") {
  test::Engine engine;
  const Value failed = ValueBody::failed(engine.system, Error(ErrorCode::op_failed, "why"));
  CHECK(failed->error()->message() == "why");
  CHECK_FALSE(failed->buffer());
}
