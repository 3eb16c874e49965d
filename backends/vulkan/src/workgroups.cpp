#include "workgroups.hpp"

#include <troupe/core/error.hpp>

#include <algorithm>
#include <string>

namespace troupe::vulkan {

namespace {
constexpr std::uint32_t groups_max = 65'535;  // along an axis, on every device
}  // namespace

Grid grid_of(std::uint64_t groups) {
  if (groups <= groups_max) return {static_cast<std::uint32_t>(groups), 1, 1};
  const std::uint64_t y = (groups + groups_max - 1) / groups_max;
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
  return grid_of((invocations + group_size - 1) / group_size);
}

std::uint32_t fold_group_for(
    std::uint64_t length, std::uint32_t subgroup, const WorkgroupLimits& limits) noexcept {
  constexpr std::uint32_t subgroups_max = 32;  // what the shaders have shared memory for
  constexpr std::uint64_t elements_min = 4;    // that an invocation folds before others do
  subgroup = std::max(subgroup, 1u);
  const std::uint32_t most =
      std::min({256u, limits.invocations, static_cast<std::uint32_t>(subgroup * subgroups_max)});
  std::uint32_t group = subgroup;
  while (group * 2 <= most && group * elements_min < length) group *= 2;
  return group;
}

SharedTile shared_tile_for(
    std::uint32_t element_bytes, bool large, const WorkgroupLimits& limits) noexcept {
  SharedTile tile;
  if (tile.invocations() > limits.invocations) tile.side = 8;
  if (large) tile.registers = 8;
  // Fewer steps at a time first: the larger tile loads less for each product.
  const auto fits = [&] { return tile.shared_bytes(element_bytes) <= limits.shared_bytes; };
  if (!fits()) tile.depth = 4;
  if (!fits()) tile.registers = 4;
  return tile;
}

}  // namespace troupe::vulkan
