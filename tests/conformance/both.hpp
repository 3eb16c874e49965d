#pragma once

#include "support/vulkan.hpp"

#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>

/// For tests that hold a GPU's results against the CPU's.
namespace troupe::conformance {

struct Both {
  System system{System::Options{.threads = 2}};
  Device& cpu{cpu::attach(system)};
  Device& gpu{test::attach_vulkan(system)};
};
/// Made once: shaders are compiled for a device.
[[nodiscard]] inline Both& both() {
  static Both devices;
  return devices;
}

}  // namespace troupe::conformance
