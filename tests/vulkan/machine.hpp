#pragma once

#include "support/vulkan.hpp"
#include "vulkan_device.hpp"

#include <troupe/core/error.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/scope.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::vulkan {

/// What only tests do to the backend's insides.
struct TestAccess {
  /// As if a call to the driver had answered that the device is gone.
  static void lose(Queue& queue) { queue.lose(error_of(VK_ERROR_DEVICE_LOST, "waiting for it")); }
  static void add_missing(Instance& instance, std::size_t index, std::string_view feature) {
    instance.devices_[index].info.missing = feature;
  }
};

}  // namespace troupe::vulkan

namespace troupe::test {

/// What a call throws; one of the code `internal` if it throws nothing.
template <class Call>
[[nodiscard]] Error thrown_by(Call&& call) {
  try {
    (void)call();
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::internal, "nothing was thrown"};
}

[[nodiscard]] inline bool says(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

/// A processor's kernels by address, a GPU's by descriptor, with the validation layer listening:
/// each pipeline takes its time where tests run.
[[nodiscard]] inline vulkan::Options way(bool descriptors) {
  vulkan::Options options = vulkan_options();
  options.descriptors = descriptors;
  options.gpu_kernels = descriptors;
  options.validation = true;
  return options;
}

/// A system with a CPU and a Vulkan device, in whose scope the test runs. One thread, so that what
/// is counted does not depend on a race.
struct Machine {
  explicit Machine(
      const vulkan::Options& options = vulkan_options(),
      const std::function<void(vulkan::Context&)>& change = {},
      Disk* disk = nullptr)
      : system([&] {
          System::Options of_system;
          of_system.threads = 1;
          of_system.disk = disk;
          of_system.log = [this](LogLevel, std::string_view line) { log.emplace_back(line); };
          return of_system;
        }()),
        cpu(cpu::attach(system)),
        gpu(attach(options, change)),
        scope(system, gpu) {}

  [[nodiscard]] vulkan::Statistics counts() const { return gpu.statistics(); }

  std::vector<std::string> log;
  System system;
  Device& cpu;
  vulkan::VulkanDevice& gpu;
  Scope scope;

 private:
  vulkan::VulkanDevice& attach(
      const vulkan::Options& options, const std::function<void(vulkan::Context&)>& change) {
    auto instance = std::make_unique<vulkan::Instance>(
        options.validation, [this](std::string_view line) { system.log(LogLevel::error, line); });
    auto context = std::make_shared<vulkan::Context>(std::move(instance), vulkan_index(), options);
    if (change) change(*context);
    auto device = std::make_unique<vulkan::VulkanDevice>(system, std::move(context));
    vulkan::VulkanDevice& attached = *device;
    Devices::of(system).add(std::move(device));
    return attached;
  }
};

/// A driver's device without a system: for the parts that need no more.
[[nodiscard]] inline std::unique_ptr<vulkan::Context> open_context(
    const vulkan::Options& options = vulkan_options()) {
  return std::make_unique<vulkan::Context>(
      std::make_unique<vulkan::Instance>(options.validation), vulkan_index(), options);
}

}  // namespace troupe::test
