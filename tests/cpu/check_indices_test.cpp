#include "check_indices.hpp"

#include "run_plan.hpp"

#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <limits>

namespace troupe::cpu::test {
namespace {

std::string refused(const View& view, const std::int64_t* ignored = nullptr) {
  try {
    check_indices(view, 0, 10, "the index", ignored);
    return "taken";
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    return error.message();
  }
}

}  // namespace

TEST_CASE("an index out of range is refused with place, value and range", "[cpu]") {
  auto indices = make_tensor<std::int64_t>({2, 3});
  for (std::int64_t i = 0; i < 6; ++i) indices.at(i) = 9;
  CHECK(refused(indices.view) == "taken");
  indices.at(4) = -1;
  CHECK(refused(indices.view) == "the index at [1, 1] is -1, but must be in [0, 10)");
  const std::int64_t ignored = -1;
  CHECK(refused(indices.view, &ignored) == "taken");
  indices.at(2) = 10;
  CHECK(refused(indices.view, &ignored) == "the index at [0, 2] is 10, but must be in [0, 10)");
  CHECK(refused(make_tensor<std::int64_t>({0, 3}).view) == "taken");
}

TEST_CASE("an index out of range is found among many", "[cpu]") {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  for (const std::int64_t place : {0, 63, 64, 130, 199})
    for (const std::int64_t value : {std::int64_t{-1}, std::int64_t{10}, least, most}) {
      auto indices = make_tensor<std::int64_t>({200});
      for (std::int64_t i = 0; i < 200; ++i) indices.at(i) = i % 10;
      CHECK(refused(indices.view) == "taken");
      indices.at(place) = value;
      CHECK(
          refused(indices.view) == "the index at [" + std::to_string(place) + "] is " +
                                       std::to_string(value) + ", but must be in [0, 10)");
    }
  auto narrow = make_tensor<std::int32_t>({200});
  for (std::int64_t i = 0; i < 200; ++i) narrow.at(i) = 9;
  narrow.at(150) = -1;
  CHECK(refused(narrow.view) == "the index at [150] is -1, but must be in [0, 10)");
}

TEST_CASE("strided and small indices are checked at their own places", "[cpu]") {
  auto indices = make_strided<std::int32_t>({2, 3}, {1, 0}, 2);
  for (std::int64_t i = 0; i < 6; ++i) indices.at(i) = 0;
  CHECK(refused(indices.view) == "taken");
  indices.at(5) = 11;
  CHECK(refused(indices.view) == "the index at [1, 2] is 11, but must be in [0, 10)");
}

}  // namespace troupe::cpu::test
