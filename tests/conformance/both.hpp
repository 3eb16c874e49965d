#pragma once

#include "support/vulkan.hpp"

#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <functional>

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

/// Runs the body on the Vulkan device under test; false, and nothing is run, where that is the CPU.
[[nodiscard]] inline bool ran_on_vulkan(const std::function<void()>& body) {
  if (!test::on_vulkan()) return false;
  const Scope scope(both().system, both().gpu);
  body();
  CHECK(test::validation_messages(both().gpu) == 0);
  return true;
}

}  // namespace troupe::conformance
