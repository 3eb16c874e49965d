#pragma once

#include <troupe/core/error.hpp>

#define VK_NO_PROTOTYPES
#include <volk.h>

#include <string_view>

namespace troupe::vulkan {

/// "VK_ERROR_DEVICE_LOST" and so on.
[[nodiscard]] std::string_view name_of(VkResult result) noexcept;

/// What a call that failed means to people; `what` says what was being done.
[[nodiscard]] Error error_of(VkResult result, std::string_view what);

inline void check(VkResult result, std::string_view what) {
  if (result < 0) throw error_of(result, what);
}

}  // namespace troupe::vulkan
