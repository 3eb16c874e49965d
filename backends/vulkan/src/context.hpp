#pragma once

#include "instance.hpp"

#include <cstdint>
#include <memory>

namespace troupe::vulkan {

/// The size that pipelines ask their subgroups to have: drivers vary it from shader to shader where
/// they are not told.
struct SubgroupControl {
  std::uint32_t size = 0;       ///< 0: the driver cannot be told
  std::uint32_t count_max = 0;  ///< of such subgroups in a workgroup
};

/// The driver's device and its functions: what every other part is made with.
struct Context {
  Context(std::unique_ptr<Instance> instance, std::size_t index, const Options& options);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  std::unique_ptr<Instance> instance;
  Options options;
  VkPhysicalDevice physical = VK_NULL_HANDLE;
  DeviceInfo info;
  Features features;  ///< those that were asked for and are there: what shaders may use
  VkPhysicalDeviceLimits limits{};
  VkPhysicalDeviceMemoryProperties memory{};
  SubgroupControl subgroups;
  std::string profile;         ///< driver and version: what compiled things are kept for
  bool memory_budget = false;  ///< the driver tells how much memory is left
  VkDevice handle = VK_NULL_HANDLE;
  VkQueue queue = VK_NULL_HANDLE;
  std::uint32_t queue_family = 0;
  std::uint32_t timestamp_bits = 0;  ///< of the time that the queue can tell; 0: it cannot
  VolkDeviceTable vk{};
  /// Leaves out the barriers that hazards ask for, so that tests see whether anybody would notice.
  bool without_hazard_barriers = false;
  /// The host does not see tensors' memory, as on most GPUs, though this device would let it; so
  /// that tests reach what stages transfers. Set before the device's memory is.
  bool hidden_memory = false;
};

}  // namespace troupe::vulkan
