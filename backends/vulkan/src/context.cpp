#include "context.hpp"

#include "workgroups.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace troupe::vulkan {

namespace {

std::vector<std::string> extensions_of(VkPhysicalDevice device) {
  std::uint32_t count = 0;
  vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> properties(count);
  vkEnumerateDeviceExtensionProperties(device, nullptr, &count, properties.data());
  std::vector<std::string> names;
  for (const VkExtensionProperties& extension : properties)
    names.emplace_back(extension.extensionName);
  return names;
}

/// A family that computes; one that does not draw too leaves a desktop's frames alone.
std::uint32_t compute_family(VkPhysicalDevice device) {
  std::uint32_t count = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(device, &count, nullptr);
  std::vector<VkQueueFamilyProperties> families(count);
  vkGetPhysicalDeviceQueueFamilyProperties(device, &count, families.data());
  std::uint32_t chosen = count;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (!(families[i].queueFlags & VK_QUEUE_COMPUTE_BIT)) continue;
    if (!(families[i].queueFlags & VK_QUEUE_GRAPHICS_BIT)) return i;
    chosen = std::min(chosen, i);
  }
  return chosen;
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

  const std::vector<std::string> offered = extensions_of(physical);
  const auto offers = [&](const char* name) {
    return std::find(offered.begin(), offered.end(), name) != offered.end();
  };
  std::vector<const char*> extensions;
  memory_budget = offers(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  if (memory_budget) extensions.push_back(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  if (options.descriptors) {
    if (!offers(VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME))
      throw Error(ErrorCode::unsupported, info.model + " lacks VK_KHR_push_descriptor")
          .hint("leave Options::descriptors off: they are for tests");
    extensions.push_back(VK_KHR_PUSH_DESCRIPTOR_EXTENSION_NAME);
  }

  // Everything of the core that the device has and shaders may use.
  Features has;
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

  queue_family = compute_family(physical);
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
