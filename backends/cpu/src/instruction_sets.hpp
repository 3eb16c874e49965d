#pragma once

#include "kernel_table.hpp"

#include <troupe/core/system.hpp>

#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::cpu {

/// Kernels that this build has, and whether this machine can run them.
struct InstructionSet {
  std::string_view name;
  bool present;  ///< in the processor, and the operating system saves its registers
  KernelTable (*make_table)();
  /// Asks the operating system for leave to use it; null: none is needed.
  bool (*permitted)() = nullptr;
  bool products_alone = false;  ///< its other kernels are those of an older set
};

/// Those of this build, oldest first.
[[nodiscard]] std::vector<InstructionSet> known_sets();

/// The set of the given name, or, if it is empty, the newest that is present, that the host does
/// not rule out, and whose use the operating system permits. A refusal of the system is told to
/// `log`, once. Throws `unsupported` if there is none.
[[nodiscard]] InstructionSet choose_set(
    std::span<const InstructionSet> sets,
    std::string_view wanted,
    bool tiles,
    const std::function<void(LogLevel, std::string_view)>& log);

}  // namespace troupe::cpu
