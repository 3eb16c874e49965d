#pragma once

#include <troupe/tensor/shape.hpp>

#include <cstdint>

namespace troupe::vulkan {

/// A tensor seen as three dimensions, [outer, length, inner], with an axis of it in the middle.
struct Axis {
  std::uint32_t outer = 1;
  std::uint32_t length = 1;
  std::uint32_t inner = 1;

  static Axis of(const Shape& shape, std::int64_t dim) {
    const auto rank = static_cast<std::int64_t>(shape.size());
    if (dim < 0) dim += rank;
    Axis axis;
    for (std::int64_t i = 0; i < rank; ++i) {
      std::uint32_t& part = i < dim ? axis.outer : i == dim ? axis.length : axis.inner;
      part *= static_cast<std::uint32_t>(shape[static_cast<std::size_t>(i)]);
    }
    return axis;
  }
  [[nodiscard]] std::uint32_t lines() const noexcept { return outer * inner; }
};

}  // namespace troupe::vulkan
