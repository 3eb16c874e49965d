#include "workgroups.hpp"

#include <troupe/core/error.hpp>

#include <algorithm>
#include <string>

namespace troupe::vulkan {

namespace {
constexpr std::uint32_t groups_max = 65'535;  // along an axis, on every device

/// Whether a tile is larger than another only by what lies outside of a matrix.
bool mostly_outside(
    const TileSize& size, const TileSize& other, std::uint64_t rows, std::uint64_t columns) {
  return (size.rows > other.rows && size.rows / 2 >= rows) ||
         (size.columns > other.columns && size.columns / 2 >= columns);
}
}  // namespace

Grid grid_of(std::uint64_t groups) {
  if (groups <= groups_max) return {static_cast<std::uint32_t>(groups), 1, 1};
  const std::uint64_t y = ceil_div(groups, groups_max);
  if (y > groups_max)
    throw Error(
        ErrorCode::unsupported,
        "more elements than a device counts in one launch: " + std::to_string(groups) + " groups")
        .hint("split the tensor along an axis");
  return {groups_max, static_cast<std::uint32_t>(y), 1};
}

Grid grid_for(std::uint64_t invocations, std::uint32_t group_size) {
  if (invocations > 0xffff'0000)
    throw Error(
        ErrorCode::unsupported,
        std::to_string(invocations) + " elements are more than kernels count")
        .hint("split the tensor along an axis");
  return grid_of(ceil_div(invocations, group_size));
}

std::uint32_t fold_group_for(
    std::uint64_t length, std::uint32_t subgroup, const WorkgroupLimits& limits) noexcept {
  constexpr std::uint64_t elements_min = 4;  // that an invocation folds before others do
  subgroup = std::max(subgroup, 1u);
  const std::uint32_t most =
      std::min({256u, limits.invocations, static_cast<std::uint32_t>(subgroup * subgroups_max)});
  std::uint32_t group = subgroup;
  while (group * 2 <= most && group * elements_min < length) group *= 2;
  return group;
}

Tile shared_tile_for(
    std::uint32_t element_bytes, bool large, const WorkgroupLimits& limits) noexcept {
  Tile tile{256, 4, 4, 8};
  if (tile.group > limits.invocations) tile.group = 64;
  if (large) tile.rows = tile.columns = 8, tile.depth = 16;
  // Fewer steps at a time first: the larger tile loads less for each product.
  const auto fits = [&] { return shared_bytes(tile, element_bytes) <= limits.shared_bytes; };
  while (!fits() && tile.depth > 4) tile.depth /= 2;
  if (!fits()) tile.rows = tile.columns = 4;
  return tile;
}

std::vector<Tile> shared_tiles(
    const Tile& reference,
    std::uint64_t rows,
    std::uint64_t columns,
    bool sliced,
    std::uint32_t element_bytes,
    const WorkgroupLimits& limits) {
  // Wide tiles load less for each product, small ones fill a device that the large leave idle, and
  // more steps at a time meet at fewer barriers.
  static constexpr Tile all[] = {
      {64, 4, 4, 8},
      {64, 4, 4, 16},
      {64, 8, 4, 8},
      {64, 4, 8, 8},
      {64, 8, 8, 8},
      {256, 4, 4, 8},
      {256, 4, 4, 16},
      {256, 8, 4, 8},
      {256, 4, 8, 8},
      {256, 8, 8, 8},
      {256, 8, 8, 16}};
  std::vector<Tile> tiles;
  for (const Tile& tile : all) {
    const bool steps_end = !sliced || tile.depth <= reference.depth;
    if (tile != reference && steps_end && tile.group <= limits.invocations &&
        shared_bytes(tile, element_bytes) <= limits.shared_bytes &&
        !mostly_outside(shared_size(tile), shared_size(reference), rows, columns))
      tiles.push_back(tile);
  }
  return tiles;
}

std::vector<Tile> register_tiles(
    const Tile& reference, std::uint64_t rows, std::uint64_t columns, std::uint32_t rows_max) {
  constexpr std::uint32_t columns_max = 8;  // as wide as compiles in reasonable time
  std::vector<Tile> tiles;
  for (std::uint32_t down = std::max(reference.rows / 2, 1u);
       down <= std::min(reference.rows * 2, rows_max);
       down *= 2)
    for (std::uint32_t across = std::max(reference.columns / 2, 1u);
         across <= std::min(reference.columns * 2, columns_max);
         across *= 2) {
      Tile tile = reference;
      tile.rows = down;
      tile.columns = across;
      if (tile != reference &&
          !mostly_outside(register_size(tile), register_size(reference), rows, columns))
        tiles.push_back(tile);
    }
  return tiles;
}

std::vector<Tile> sliced_tiles(const Tile& reference) {
  std::vector<Tile> tiles;
  for (const std::uint32_t workgroups : {1u, 256u, 1024u}) {
    tiles.push_back(reference);
    tiles.back().workgroups = workgroups;
  }
  return tiles;
}

}  // namespace troupe::vulkan
