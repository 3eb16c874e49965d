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
    CHECK(all[i].subgroup_size_min > 0);
    CHECK(all[i].subgroup_size_min <= all[i].subgroup_size);
    CHECK(all[i].subgroup_size <= all[i].subgroup_size_max);
  }
}

TEST_CASE("an instance may be made again and again", "[vulkan]") {
  const std::size_t count = devices().size();
  // Oftener than some drivers can be loaded in a process.
  for (int i = 0; i < 25; ++i) CHECK(devices().size() == count);
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

TEST_CASE("what is newer than the validation layer is left alone", "[vulkan]") {
  const std::vector<std::string> names{
      VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME,
      VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME,
      VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME};
  const Extensions without_layer = extensions_among(names, 0);
  CHECK(without_layer.subgroup_size_control);
  CHECK(without_layer.cooperative_matrix);
  CHECK(without_layer.bfloat16);
  CHECK_FALSE(without_layer.push_descriptor);
  CHECK_FALSE(without_layer.memory_budget);
  const Extensions old = extensions_among(names, VK_MAKE_API_VERSION(0, 1, 3, 239));
  CHECK(old.subgroup_size_control);
  CHECK_FALSE(old.cooperative_matrix);
  CHECK_FALSE(old.bfloat16);
  const Extensions newer = extensions_among(names, VK_MAKE_API_VERSION(0, 1, 4, 304));
  CHECK(newer.cooperative_matrix);
  CHECK_FALSE(newer.bfloat16);
  CHECK(extensions_among(names, VK_MAKE_API_VERSION(0, 1, 4, 350)).bfloat16);
}

TEST_CASE("cooperative matrices are those that products can be made of, each once", "[vulkan]") {
  VkCooperativeMatrixPropertiesKHR half{};
  half.MSize = half.NSize = half.KSize = 16;
  half.AType = half.BType = VK_COMPONENT_TYPE_FLOAT16_KHR;
  half.CType = half.ResultType = VK_COMPONENT_TYPE_FLOAT32_KHR;
  half.scope = VK_SCOPE_SUBGROUP_KHR;
  const auto changed = [&](auto change) {
    VkCooperativeMatrixPropertiesKHR other = half;
    change(other);
    return other;
  };
  using Properties = VkCooperativeMatrixPropertiesKHR;
  const VkCooperativeMatrixPropertiesKHR all[] = {
      half,
      changed([](Properties& p) { p.CType = p.ResultType = VK_COMPONENT_TYPE_FLOAT16_KHR; }),
      changed([](Properties& p) { p.ResultType = VK_COMPONENT_TYPE_FLOAT16_KHR; }),
      changed([](Properties& p) { p.BType = VK_COMPONENT_TYPE_BFLOAT16_KHR; }),
      changed([](Properties& p) { p.scope = static_cast<VkScopeKHR>(2); }),  // a workgroup's
      changed([](Properties& p) { p.saturatingAccumulation = VK_TRUE; }),
      changed([](Properties& p) { p.AType = p.BType = VK_COMPONENT_TYPE_FLOAT32_KHR; }),
      half,
      changed([](Properties& p) { p.AType = p.BType = VK_COMPONENT_TYPE_BFLOAT16_KHR; }),
      changed([](Properties& p) { p.KSize = 8; })};
  Features features;
  features.cooperative_matrix.cooperativeMatrix = VK_TRUE;
  features.bfloat16.shaderBFloat16CooperativeMatrix = VK_TRUE;
  features.v12.shaderFloat16 = VK_TRUE;
  CHECK(usable_among(all, features).empty());  // without Vulkan's memory model
  features.v12.vulkanMemoryModel = VK_TRUE;
  CHECK(usable_among(all, features).empty());  // or with a part of it
  features.v12.vulkanMemoryModelDeviceScope = VK_TRUE;
  CHECK(
      usable_among(all, features) == std::vector<CooperativeMatrix>{
                                         {16, 16, 16, DType::float16},
                                         {16, 16, 16, DType::bfloat16},
                                         {16, 16, 8, DType::float16}});
  features.v12.shaderFloat16 = VK_FALSE;
  CHECK(
      usable_among(all, features) == std::vector<CooperativeMatrix>{{16, 16, 16, DType::bfloat16}});
  features.bfloat16.shaderBFloat16CooperativeMatrix = VK_FALSE;
  CHECK(usable_among(all, features).empty());
  features.v12.shaderFloat16 = VK_TRUE;
  features.cooperative_matrix.cooperativeMatrix = VK_FALSE;
  CHECK(usable_among(all, features).empty());
}

TEST_CASE("features of extensions are asked for where there are any", "[vulkan]") {
  const auto linked = [](const Extensions& extensions) {
    Features features;
    features.link(extensions);
    std::vector<VkStructureType> types;
    for (auto* at = static_cast<const VkBaseOutStructure*>(features.v12.pNext); at; at = at->pNext)
      types.push_back(at->sType);
    return types;
  };
  CHECK(linked({}).empty());
  CHECK(
      linked({.cooperative_matrix = true}) ==
      std::vector{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR});
  CHECK(
      linked({.subgroup_size_control = true, .cooperative_matrix = true, .bfloat16 = true})
          .size() == 3);
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
