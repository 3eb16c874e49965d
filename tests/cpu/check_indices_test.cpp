#include "check_indices.hpp"

#include "run_plan.hpp"

#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>

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

TEST_CASE("strided and small indices are checked at their own places", "[cpu]") {
  auto indices = make_strided<std::int32_t>({2, 3}, {1, 0}, 2);
  for (std::int64_t i = 0; i < 6; ++i) indices.at(i) = 0;
  CHECK(refused(indices.view) == "taken");
  indices.at(5) = 11;
  CHECK(refused(indices.view) == "the index at [1, 2] is 11, but must be in [0, 10)");
}

}  // namespace troupe::cpu::test
