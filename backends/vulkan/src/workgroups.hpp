#pragma once

#include <cstdint>
#include <vector>

namespace troupe::vulkan {

[[nodiscard]] constexpr std::uint64_t ceil_div(std::uint64_t a, std::uint64_t b) noexcept {
  return (a + b - 1) / b;
}

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

/// Subgroups of a workgroup that folds: what fold.glsl has shared memory for.
inline constexpr std::uint32_t subgroups_max = 32;

/// The size of a workgroup that folds a line of `length` elements: a subgroup, or as many as find
/// work and as the device and fold.glsl's shared memory have room for.
[[nodiscard]] std::uint32_t fold_group_for(
    std::uint64_t length, std::uint32_t subgroup, const WorkgroupLimits& limits) noexcept;

/// How a product is cut up: a workgroup's part of C, and how it goes through k.
struct Tile {
  std::uint32_t group = 0;        ///< invocations of a workgroup
  std::uint32_t rows = 0;         ///< sums of each, down
  std::uint32_t columns = 0;      ///< and across
  std::uint32_t depth = 0;        ///< steps of k at a time
  std::uint32_t workgroups = 64;  ///< as many as slices of k are to give

  bool operator==(const Tile&) const = default;
};
/// Rows and columns of C.
struct TileSize {
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
};

/// What a workgroup of gemm_tiled.glsl covers: side × side invocations.
[[nodiscard]] constexpr TileSize shared_size(const Tile& tile) noexcept {
  const std::uint32_t side = tile.group >= 256 ? 16 : 8;
  return {side * tile.rows, side * tile.columns};
}
/// What the shader declares for elements of so many bytes: both operands, twice.
[[nodiscard]] constexpr std::uint32_t shared_bytes(
    const Tile& tile, std::uint32_t element_bytes) noexcept {
  const TileSize size = shared_size(tile);
  return 2 * tile.depth * (size.rows + size.columns + 8) * element_bytes;
}
/// What a workgroup of gemm.glsl covers: a subgroup whose lanes lie across.
[[nodiscard]] constexpr TileSize register_size(const Tile& tile) noexcept {
  return {tile.rows, tile.columns * tile.group};
}

/// The tile for elements of so many bytes that the device has room for; `large` asks for 8 × 8 sums
/// an invocation.
[[nodiscard]] Tile shared_tile_for(
    std::uint32_t element_bytes, bool large, const WorkgroupLimits& limits) noexcept;

/// Others to try for a matrix of about so many rows and columns, which the device has room for too.
/// `sliced`: k is cut where the reference's steps end, so theirs must end there.
[[nodiscard]] std::vector<Tile> shared_tiles(
    const Tile& reference,
    std::uint64_t rows,
    std::uint64_t columns,
    bool sliced,
    std::uint32_t element_bytes,
    const WorkgroupLimits& limits);
/// The same for tiles in registers of at most so many rows.
[[nodiscard]] std::vector<Tile> register_tiles(
    const Tile& reference, std::uint64_t rows, std::uint64_t columns, std::uint32_t rows_max);
/// The reference with other numbers of slices: sums are added in another order.
[[nodiscard]] std::vector<Tile> sliced_tiles(const Tile& reference);

}  // namespace troupe::vulkan
