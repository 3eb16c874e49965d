#include "instance.hpp"

#include "machine.hpp"

#include <troupe/tensor/creation.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace troupe::vulkan {

using test::says;
using test::thrown_by;

TEST_CASE("devices are numbered, described, GPUs first", "[vulkan]") {
  const std::vector<DeviceInfo> all = devices();
  REQUIRE_FALSE(all.empty());
  bool software = false;
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].name == "vulkan:" + std::to_string(i));
    CHECK_FALSE(all[i].model.empty());
    CHECK(all[i].memory_bytes > 0);
    CHECK((all[i].software || !software));  // no GPU after a software device
    software = all[i].software;
  }
}

TEST_CASE("an instance may be made again and again", "[vulkan]") {
  const std::size_t count = devices().size();
  for (int i = 0; i < 10; ++i) CHECK(devices().size() == count);
}

TEST_CASE("a device that lacks a feature is told which", "[vulkan]") {
  Features features;
  features.v12.timelineSemaphore = VK_TRUE;
  features.v12.bufferDeviceAddress = VK_TRUE;
  constexpr VkSubgroupFeatureFlags subgroup =
      VK_SUBGROUP_FEATURE_ARITHMETIC_BIT | VK_SUBGROUP_FEATURE_SHUFFLE_BIT;
  CHECK(missing_of(features, subgroup, true).empty());
  CHECK(missing_of(features, subgroup, false) == "a compute queue");
  CHECK(missing_of(features, VK_SUBGROUP_FEATURE_SHUFFLE_BIT, true) == "subgroup arithmetic");
  CHECK(missing_of(features, VK_SUBGROUP_FEATURE_ARITHMETIC_BIT, true) == "subgroup shuffle");
  features.v12.timelineSemaphore = VK_FALSE;
  CHECK(missing_of(features, subgroup, true) == "timelineSemaphore");
  features.v12.bufferDeviceAddress = VK_FALSE;
  CHECK(missing_of(features, subgroup, true) == "timelineSemaphore, bufferDeviceAddress");
}

// The cases below are run by ctest in an environment of their own (CMakeLists.txt).

TEST_CASE("without a loader everything says so, and the CPU works", "[.without_loader]") {
  for (int again = 0; again < 2; ++again) {
    const Error listed = thrown_by([] { return devices(); });
    CHECK(listed.code() == ErrorCode::unsupported);
    CHECK(says(listed.message(), "loader"));
    CHECK(says(listed.hint(), "libvulkan1"));
  }
  System system{System::Options{.threads = 1}};
  Device& cpu = cpu::attach(system);
  const Error attached = thrown_by([&] { return attach(system, 0).name(); });
  CHECK(attached.code() == ErrorCode::unsupported);
  CHECK(says(attached.hint(), "\"cpu\""));
  CHECK(Devices::of(system).all().size() == 1);
  const Scope scope(system, cpu);
  CHECK(full({2}, 3.0f).to_vector<float>() == std::vector<float>{3, 3});
}

TEST_CASE("without a driver everything says so, and the CPU works", "[.without_driver]") {
  const Error listed = thrown_by([] { return devices(); });
  CHECK(listed.code() == ErrorCode::unsupported);
  CHECK(says(listed.message(), "driver"));
  CHECK(says(listed.hint(), "mesa-vulkan-drivers"));
  System system{System::Options{.threads = 1}};
  Device& cpu = cpu::attach(system);
  const Error attached = thrown_by([&] { return attach(system, 0).name(); });
  CHECK(
      (attached.code() == ErrorCode::unsupported || attached.code() == ErrorCode::device_mismatch));
  CHECK(says(attached.hint(), "\"cpu\""));
  CHECK(Devices::of(system).all().size() == 1);
  const Scope scope(system, cpu);
  CHECK(full({2}, 3.0f).to_vector<float>() == std::vector<float>{3, 3});
}

TEST_CASE("without the validation layer asking for it says so", "[.without_driver]") {
  const Error error = thrown_by([] {
    const Instance instance(true);
    return 0;
  });
  CHECK(error.code() == ErrorCode::unsupported);
  CHECK(says(error.message(), "validation layer"));
  CHECK(says(error.hint(), "vulkan-validationlayers"));
}

}  // namespace troupe::vulkan
