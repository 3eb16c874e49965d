#pragma once

#include <cstdint>

namespace troupe::vulkan {

/// Workgroups along x, y, z.
struct Grid {
  std::uint32_t x = 1;
  std::uint32_t y = 1;
  std::uint32_t z = 1;
};
/// `groups` of them, folded where they are more than an axis may have; shaders count them by GROUP.
/// Throws `unsupported` for more than the device can launch at all.
[[nodiscard]] Grid grid_of(std::uint64_t groups);
/// As many groups of `group_size` as `invocations` need; shaders count those by INVOCATION.
[[nodiscard]] Grid grid_for(std::uint64_t invocations, std::uint32_t group_size);

/// What a device gives one workgroup along x; by default what Vulkan promises of every device.
struct WorkgroupLimits {
  std::uint32_t invocations = 128;
  std::uint32_t shared_bytes = 16'384;
};

/// The size of a workgroup that folds a line of `length` elements: a subgroup, or as many as find
/// work and as the device and fold.glsl's shared memory have room for.
[[nodiscard]] std::uint32_t fold_group_for(
    std::uint64_t length, std::uint32_t subgroup, const WorkgroupLimits& limits) noexcept;

/// A workgroup of gemm_tiled.glsl: side × side invocations, each with registers × registers sums.
struct SharedTile {
  std::uint32_t side = 16;
  std::uint32_t registers = 4;
  std::uint32_t depth = 8;  ///< steps of k in shared memory

  [[nodiscard]] constexpr std::uint32_t size() const noexcept { return side * registers; }
  [[nodiscard]] constexpr std::uint32_t invocations() const noexcept { return side * side; }
  /// What the shader declares for elements of so many bytes: both operands, twice.
  [[nodiscard]] constexpr std::uint32_t shared_bytes(std::uint32_t element_bytes) const noexcept {
    return 2 * 2 * depth * (size() + 4) * element_bytes;
  }
};

/// The tile for elements of so many bytes that the device has room for; `large` asks for 8 × 8 sums
/// an invocation.
[[nodiscard]] SharedTile shared_tile_for(
    std::uint32_t element_bytes, bool large, const WorkgroupLimits& limits) noexcept;

}  // namespace troupe::vulkan
