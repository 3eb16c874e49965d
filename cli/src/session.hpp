#pragma once

#include "console.hpp"
#include "options.hpp"

#include <troupe/autograd/passes.hpp>
#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>

#include <string>

namespace troupe::cli {

/// A system with the devices of this machine, as every command needs it.
class Session {
 public:
  /// Throws `device_mismatch` for a device that is not there, naming those that are.
  Session(const MachineOptions& options, Console& console);

  [[nodiscard]] System& system() noexcept { return system_; }
  [[nodiscard]] Device& device() noexcept { return *device_; }

 private:
  System system_;
  Device* device_;
};

/// The passes that programs are compiled with: all, or what `TROUPE_PASSES` says, for experiments:
/// "all,-fusion". Throws `invalid_argument` for a name that there is not.
[[nodiscard]] Passes chosen_passes();

/// What bits depend on besides seed and config: build, instruction set, precision of products.
[[nodiscard]] std::string numeric_profile(const Device& device);

}  // namespace troupe::cli
