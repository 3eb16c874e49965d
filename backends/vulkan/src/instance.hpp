#pragma once

#include "api.hpp"

#include <troupe/vulkan/vulkan.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::vulkan {

/// A connection to the machine's Vulkan: its devices, and the validation layer if it was asked for.
class Instance {
 public:
  /// Throws `unsupported` without a loader, a driver, or the layer.
  explicit Instance(bool validation, std::function<void(std::string_view)> on_message = {});
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  struct Physical {
    VkPhysicalDevice handle = VK_NULL_HANDLE;
    DeviceInfo info;
  };
  /// GPUs first, software devices last; otherwise as the loader lists them.
  [[nodiscard]] const std::vector<Physical>& devices() const noexcept { return devices_; }
  [[nodiscard]] std::uint64_t validation_messages() const noexcept { return messages_; }

 private:
  friend struct MessageSink;
  friend struct TestAccess;
  Instance() noexcept = default;  // what is made of one is undone if the rest throws

  VkInstance handle_ = VK_NULL_HANDLE;
  VkDebugUtilsMessengerEXT messenger_ = VK_NULL_HANDLE;
  std::function<void(std::string_view)> on_message_;
  std::atomic<std::uint64_t> messages_{0};
  std::vector<Physical> devices_;
};

/// Every feature that the backend knows of, as a device has it.
struct Features {
  Features() noexcept;
  Features(const Features&) = delete;
  Features& operator=(const Features&) = delete;

  VkPhysicalDeviceFeatures2 core;
  VkPhysicalDeviceVulkan11Features v11;
  VkPhysicalDeviceVulkan12Features v12;
};

/// What a device lacks of what the backend cannot do without, by name; empty: nothing.
[[nodiscard]] std::string missing_of(
    const Features& features, VkSubgroupFeatureFlags subgroup, bool compute_queue);

}  // namespace troupe::vulkan
