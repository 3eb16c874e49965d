#include "bytes.hpp"

#include <troupe/core/error.hpp>
#include <troupe/io/host_tensor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <limits>

namespace io = troupe::io;
using troupe::DType;
using troupe::Shape;

TEST_CASE("a host tensor has as many bytes as its shape needs", "[io]") {
  const auto tensor = io::test::floats("w", {2, 2}, {1, 2, 3, 4});
  CHECK(tensor.bytes().size() == 16);
  CHECK(io::test::values_of<float>(tensor) == std::vector<float>{1, 2, 3, 4});
  CHECK_THROWS_AS(io::test::floats("w", {2, 3}, {1, 2, 3, 4}), troupe::Error);
  CHECK_NOTHROW(io::test::floats("scalar", {}, {1}));
  CHECK_NOTHROW(io::test::floats("empty", {0, 5}, {}));
}

TEST_CASE("shared bytes live as long as the tensor", "[io]") {
  auto owner = std::make_shared<const std::vector<std::byte>>(8);
  const std::weak_ptr<const void> watch = owner;
  {
    const io::HostTensor tensor("w", DType::float64, {1}, *owner, owner);
    CHECK(tensor.bytes().data() == owner->data());
    owner.reset();
    CHECK_FALSE(watch.expired());
  }
  CHECK(watch.expired());
}

TEST_CASE("shapes that overflow need no number of bytes", "[io]") {
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  std::uint64_t bytes = 0;
  CHECK_FALSE(io::bytes_needed({huge, huge}, DType::uint8, bytes));
  CHECK_FALSE(io::bytes_needed({huge}, DType::float32, bytes));
  CHECK_FALSE(io::bytes_needed({huge, huge, 0}, DType::uint8, bytes));
  CHECK_FALSE(io::bytes_needed({-1}, DType::uint8, bytes));
  CHECK(io::bytes_needed({0, 7}, DType::float64, bytes));
  CHECK(bytes == 0);
  CHECK(io::bytes_needed({}, DType::float64, bytes));
  CHECK(bytes == 8);
}
