#pragma once

#include "console.hpp"

#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#ifdef TROUPE_VULKAN
#include <troupe/vulkan/vulkan.hpp>
#endif

#include <string>

namespace troupe::cli {

/// Attaches the device that `--device` names, and the processor in any case: "cpu"; "vulkan:0" and
/// so on; "auto" is the first GPU, or the processor where there is none, and never a software
/// device. One that is attached already is that one. A software device is told by one line. Throws
/// `device_mismatch`, naming those that are there, and what `vulkan::attach` throws.
[[nodiscard]] Device& attach_device(System& system, const std::string& name, Console& console);

/// `troupe devices`: each device with what can be told of it. Throws `Error`.
int devices(Console& console);

#ifdef TROUPE_VULKAN
/// A GPU as `troupe devices` lists it, in a few lines.
[[nodiscard]] std::string described(const vulkan::DeviceInfo& info);
#endif

}  // namespace troupe::cli
