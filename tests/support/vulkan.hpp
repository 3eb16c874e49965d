#pragma once

#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>

#ifdef TROUPE_VULKAN

#include <troupe/vulkan/vulkan.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

/// Lets a test that runs on the CPU run on a Vulkan device instead.
///
///     TROUPE_TEST_DEVICE=vulkan:0        which
///     TROUPE_TEST_VULKAN=a,b,…           how: descriptors, validation, paranoid, poison,
///                                        gpu_kernels, least_limits, tuned
namespace troupe::test {

[[nodiscard]] inline std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

[[nodiscard]] inline bool on_vulkan() {
  return environment("TROUPE_TEST_DEVICE").starts_with("vulkan:");
}

[[nodiscard]] inline vulkan::Options vulkan_options() {
  const std::string how = environment("TROUPE_TEST_VULKAN");
  vulkan::Options options;
  options.descriptors = how.find("descriptors") != std::string::npos;
  options.validation = how.find("validation") != std::string::npos;
  options.paranoid = how.find("paranoid") != std::string::npos;
  options.poison_memory = how.find("poison") != std::string::npos;
  options.gpu_kernels = how.find("gpu_kernels") != std::string::npos;
  options.least_limits = how.find("least_limits") != std::string::npos;
  // Off elsewhere, on GPUs too: what tests count is to depend on nothing that was found out before.
  const bool tuned = how.find("tuned") != std::string::npos;
  options.tuning = tuned ? vulkan::Tuning::deterministic : vulkan::Tuning::off;
  options.cache_folder = environment("TROUPE_CACHE");
  return options;
}

/// The number of the device that the environment names, or the first.
[[nodiscard]] inline unsigned vulkan_index() {
  const std::string name = environment("TROUPE_TEST_DEVICE");
  return on_vulkan() ? static_cast<unsigned>(std::strtoul(name.c_str() + 7, nullptr, 10)) : 0;
}

[[nodiscard]] inline Device& attach_vulkan(
    System& system, vulkan::Options options = vulkan_options()) {
  return vulkan::attach(system, vulkan_index(), options);
}

[[nodiscard]] inline std::uint64_t validation_messages(const Device& device) {
  return vulkan::statistics(device).validation_messages;
}

}  // namespace troupe::test

#endif
