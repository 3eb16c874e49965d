#include "context.hpp"

#include "workgroups.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace troupe::vulkan {

namespace {

struct Family {
  std::uint32_t index = 0;
  std::uint32_t timestamp_bits = 0;
};

/// A family that computes; one that does not draw too leaves a desktop's frames alone.
Family compute_family(VkPhysicalDevice device) {
  std::uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
  Family chosen{count, 0};
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
    const Family family{i, families[i].timestampValidBits};
    if (!(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)) return family;
    if (chosen.index == count) chosen = family;
  }
  return chosen;
}

/// What pipelines may ask for.
SubgroupControl subgroups_of(
    VkPhysicalDevice device, const Features& features, const DeviceInfo& info) {
  VkPhysicalDeviceSubgroupSizeControlProperties sizes{};
  sizes.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES;
  VkPhysicalDeviceProperties2 properties{};
  properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2;
  properties.pNext = &sizes;
  vkGetPhysicalDeviceProperties2(device, &properties);
  if (!features.subgroup_size.subgroupSizeControl || !features.subgroup_size.computeFullSubgroups ||
      !(sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) ||
      info.subgroup_size < sizes.minSubgroupSize || info.subgroup_size > sizes.maxSubgroupSize)
    return {};
  return {info.subgroup_size, sizes.maxComputeWorkgroupSubgroups};
}

}  // namespace

Context::Context(std::unique_ptr<Instance> made, std::size_t index, const Options& wanted)
    : instance(std::move(made)), options(wanted) {
  const auto& known = instance->devices();
  if (index >= known.size()) {
    std::string names;
    for (const Instance::Physical& device : known)
      names += (names.empty() ? "" : ", ") + device.info.name + " (" + device.info.model + ")";
    throw Error(
        ErrorCode::device_mismatch, "there is no device \"vulkan:" + std::to_string(index) + "\"")
        .hint(
            names.empty() ? "no Vulkan driver found a GPU; the device \"cpu\" is always there"
                          : "there are: " + names);
  }
  physical = known[index].handle;
  info = known[index].info;
  if (!info.missing.empty())
    throw Error(ErrorCode::unsupported, info.model + " lacks " + info.missing)
        .hint("a newer driver may have it; the device \"cpu\" is always there");

  VkPhysicalDeviceProperties properties;
  vkGetPhysicalDeviceProperties(physical, &properties);
  limits = properties.limits;
  if (options.least_limits) {
    const WorkgroupLimits least;
    limits.maxComputeWorkGroupInvocations = limits.maxComputeWorkGroupSize[0] = least.invocations;
    limits.maxComputeSharedMemorySize = least.shared_bytes;
  }
  vkGetPhysicalDeviceMemoryProperties(physical, &memory);
  profile = info.model + ", " + info.driver;

  const Extensions& offered = known[index].extensions;
  std::vector<const char*> extensions;
  const auto enable = [&](bool there, const char* name) {
    if (there) extensions.push_back(name);
  };
  memory_budget = offered.memory_budget;
  enable(memory_budget, VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  enable(offered.subgroup_size_control, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
  enable(offered.cooperative_matrix, VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME);
  enable(offered.bfloat16, VK_KHR_SHADER_BFLOAT16_EXTENSION_NAME);
  if (options.descriptors) {
    if (!offered.push_descriptor)
      throw Error(ErrorCode::unsupported, info.model + " lacks VK_KHR_push_descriptor")
          .hint("leave Options::descriptors off: they are for tests");
    enable(true, VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME);
  }

  // Everything that the device has and shaders may use.
  Features has;
  has.link(offered);
  features.link(offered);
  vkGetPhysicalDeviceFeatures2(physical, &has.core);
  features.core.features.shaderFloat64 = has.core.features.shaderFloat64;
  features.core.features.shaderInt64 = has.core.features.shaderInt64;
  features.core.features.shaderInt16 = has.core.features.shaderInt16;
  features.v11.storageBuffer16BitAccess = has.v11.storageBuffer16BitAccess;
  features.v12.timelineSemaphore = VK_TRUE;
  features.v12.bufferDeviceAddress = VK_TRUE;
  features.v12.storageBuffer8BitAccess = has.v12.storageBuffer8BitAccess;
  features.v12.shaderInt8 = has.v12.shaderInt8;
  features.v12.shaderFloat16 = has.v12.shaderFloat16;
  features.v12.shaderSubgroupExtendedTypes = has.v12.shaderSubgroupExtendedTypes;
  // Both or none: with the first alone, atomics of the whole device are forbidden to all shaders.
  features.v12.vulkanMemoryModel = features.v12.vulkanMemoryModelDeviceScope =
      has.v12.vulkanMemoryModel && has.v12.vulkanMemoryModelDeviceScope;
  features.subgroup_size.subgroupSizeControl = has.subgroup_size.subgroupSizeControl;
  features.subgroup_size.computeFullSubgroups = has.subgroup_size.computeFullSubgroups;
  features.cooperative_matrix.cooperativeMatrix = has.cooperative_matrix.cooperativeMatrix;
  features.bfloat16.shaderBFloat16Type = has.bfloat16.shaderBFloat16Type;
  features.bfloat16.shaderBFloat16CooperativeMatrix = has.bfloat16.shaderBFloat16CooperativeMatrix;
  if (offered.subgroup_size_control) subgroups = subgroups_of(physical, has, info);

  const Family family = compute_family(physical);
  queue_family = family.index;
  timestamp_bits = family.timestamp_bits;
  const float priority = 1;
  VkDeviceQueueCreateInfo queues{};
  queues.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO;
  queues.queueFamilyIndex = queue_family;
  queues.queueCount = 1;
  queues.pQueuePriorities = &priority;
  VkDeviceCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO;
  create.pNext = &features.core;
  create.queueCreateInfoCount = 1;
  create.pQueueCreateInfos = &queues;
  create.enabledExtensionCount = static_cast<std::uint32_t>(extensions.size());
  create.ppEnabledExtensionNames = extensions.data();
  check(vkCreateDevice(physical, &create, nullptr, &handle), "opening " + info.model);
  volkLoadDeviceTable(&vk, handle);
  vk.vkGetDeviceQueue(handle, queue_family, 0, &queue);
}

Context::~Context() {
  if (handle) vk.vkDestroyDevice(handle, nullptr);
}

}  // namespace troupe::vulkan
