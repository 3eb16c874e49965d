#include "devices.hpp"

#include <catch2/catch_test_macros.hpp>

namespace troupe::cli {

TEST_CASE("a GPU is listed with all that can be told of it", "[cli][vulkan]") {
  vulkan::DeviceInfo info;
  info.name = "vulkan:1";
  info.model = "Some GPU";
  info.driver = "some driver 1.2";
  info.memory_bytes = std::uint64_t{12} << 30;
  info.subgroup_size = info.subgroup_size_min = info.subgroup_size_max = 32;
  CHECK(
      described(info) ==
      "vulkan:1  Some GPU\n"
      "          driver some driver 1.2\n"
      "          12.0 GiB of memory, subgroups of 32\n"
      "          computes float32\n"
      "          no cooperative matrices\n");
  info.software = info.float16 = info.bfloat16 = info.float64 = info.int64 = info.bytes = true;
  info.subgroup_size_min = 8;
  info.cooperative_matrices = {{16, 16, 16, DType::float16}, {16, 8, 16, DType::bfloat16}};
  info.missing = "timelineSemaphore";
  CHECK(
      described(info) ==
      "vulkan:1  Some GPU\n"
      "          software device: for tests, used only when it is named\n"
      "          cannot be used: lacks timelineSemaphore\n"
      "          driver some driver 1.2\n"
      "          12.0 GiB of memory, subgroups of 32 (of 8 to 32)\n"
      "          computes float32, float16, bfloat16, float64, int64, uint8 and bool\n"
      "          cooperative matrices 16x16x16 float16, 16x8x16 bfloat16, sums in float32\n");
}

}  // namespace troupe::cli
