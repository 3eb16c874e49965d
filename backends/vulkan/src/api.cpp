#include "api.hpp"

#include <string>

namespace troupe::vulkan {

std::string_view name_of(VkResult result) noexcept {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return "VK_ERROR_OUT_OF_HOST_MEMORY";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return "VK_ERROR_OUT_OF_DEVICE_MEMORY";
    case VK_ERROR_INITIALIZATION_FAILED:
      return "VK_ERROR_INITIALIZATION_FAILED";
    case VK_ERROR_DEVICE_LOST:
      return "VK_ERROR_DEVICE_LOST";
    case VK_ERROR_LAYER_NOT_PRESENT:
      return "VK_ERROR_LAYER_NOT_PRESENT";
    case VK_ERROR_EXTENSION_NOT_PRESENT:
      return "VK_ERROR_EXTENSION_NOT_PRESENT";
    case VK_ERROR_FEATURE_NOT_PRESENT:
      return "VK_ERROR_FEATURE_NOT_PRESENT";
    case VK_ERROR_INCOMPATIBLE_DRIVER:
      return "VK_ERROR_INCOMPATIBLE_DRIVER";
    case VK_ERROR_INVALID_SHADER_NV:
      return "VK_ERROR_INVALID_SHADER_NV";
    default:
      return "an unknown error";
  }
}

Error error_of(VkResult result, std::string_view what) {
  const std::string text = std::string(what) + ": the driver said " + std::string(name_of(result)) +
                           " (" + std::to_string(static_cast<int>(result)) + ")";
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return Error(ErrorCode::out_of_memory, text)
          .hint("use a smaller batch, or free tensors that are no longer needed");
    case VK_ERROR_DEVICE_LOST:
      return Error(ErrorCode::device_lost, text)
          .hint("go on from the last checkpoint, on this device once it is back or on another");
    default:
      return Error(ErrorCode::unsupported, text)
          .hint("update the driver; 'troupe devices' lists what this machine offers");
  }
}

}  // namespace troupe::vulkan
