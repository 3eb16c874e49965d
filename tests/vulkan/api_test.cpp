#include "api.hpp"

#include "machine.hpp"

#include <catch2/catch_test_macros.hpp>

namespace troupe::vulkan {

using test::says;
using test::thrown_by;

TEST_CASE("a driver's refusal becomes an error of the right kind", "[vulkan]") {
  CHECK(error_of(VK_ERROR_OUT_OF_DEVICE_MEMORY, "x").code() == ErrorCode::out_of_memory);
  CHECK(error_of(VK_ERROR_OUT_OF_HOST_MEMORY, "x").code() == ErrorCode::out_of_memory);
  CHECK(error_of(VK_ERROR_DEVICE_LOST, "x").code() == ErrorCode::device_lost);
  CHECK(error_of(VK_ERROR_FEATURE_NOT_PRESENT, "x").code() == ErrorCode::unsupported);
}

TEST_CASE("a driver's refusal says what was done, its name, and what to do", "[vulkan]") {
  const Error lost = error_of(VK_ERROR_DEVICE_LOST, "waiting for vulkan:0");
  CHECK(says(lost.message(), "waiting for vulkan:0"));
  CHECK(says(lost.message(), "VK_ERROR_DEVICE_LOST (-4)"));
  CHECK(says(lost.hint(), "checkpoint"));
  const Error unknown = error_of(static_cast<VkResult>(-12345), "opening it");
  CHECK(says(unknown.message(), "-12345"));
  CHECK_FALSE(unknown.hint().empty());
}

TEST_CASE("check throws for failures only", "[vulkan]") {
  CHECK_NOTHROW(check(VK_SUCCESS, "x"));
  CHECK_NOTHROW(check(VK_INCOMPLETE, "x"));  // a success with something to add
  CHECK(thrown_by([] {
          check(VK_ERROR_DEVICE_LOST, "x");
          return 0;
        }).code() == ErrorCode::device_lost);
}

}  // namespace troupe::vulkan
