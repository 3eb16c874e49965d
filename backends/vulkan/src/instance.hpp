#pragma once

#include "newer.hpp"

#include <troupe/vulkan/vulkan.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::vulkan {

/// Extensions that a device has and the backend has a use for.
struct Extensions {
  bool memory_budget = false;
  bool push_descriptor = false;
  bool subgroup_size_control = false;  ///< a part of Vulkan 1.3, but an extension before
  bool cooperative_matrix = false;
  bool bfloat16 = false;
};
/// Out of the names that a device lists. A validation layer takes what is newer than itself for a
/// mistake: with one of `layer_version` that is left alone; 0 stands for no layer.
[[nodiscard]] Extensions extensions_among(
    std::span<const std::string> names, std::uint32_t layer_version);

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
    Extensions extensions;
  };
  /// GPUs first, software devices last; otherwise as the loader lists them.
  [[nodiscard]] const std::vector<Physical>& devices() const noexcept { return devices_; }
  [[nodiscard]] std::uint64_t validation_messages() const noexcept { return messages_; }

 private:
  friend struct MessageSink;
  friend struct TestAccess;
  Instance() noexcept = default;  // what is made of one is undone if the rest throws
  [[nodiscard]] Physical describe(VkPhysicalDevice device, std::uint32_t layer_version) const;

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
  VkPhysicalDeviceSubgroupSizeControlFeatures subgroup_size;
  VkPhysicalDeviceCooperativeMatrixFeaturesKHR cooperative_matrix;
  VkPhysicalDeviceShaderBfloat16FeaturesKHR bfloat16;

  /// Lets the driver see those that extensions bring. Once.
  void link(const Extensions& extensions) noexcept;
};

/// Those of a device's cooperative matrices that products of 16-bit floats can be made of: a
/// subgroup multiplies two of the same float, which shaders may use, into float32. Each once.
[[nodiscard]] std::vector<CooperativeMatrix> usable_among(
    std::span<const VkCooperativeMatrixPropertiesKHR> properties, const Features& features);

/// What a device lacks of what the backend cannot do without, by name; empty: nothing.
[[nodiscard]] std::string missing_of(
    const Features& features, VkSubgroupFeatureFlags subgroup, bool compute_queue);

}  // namespace troupe::vulkan
