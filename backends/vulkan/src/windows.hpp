#pragma once

#include "divisor.hpp"

#include <troupe/tensor/shape.hpp>

#include <cstdint>

namespace troupe::vulkan {

/// What every pooling shader is told first: an invocation for each of `n` elements, the sizes of
/// the planes that windows lie in and of those that they give, and the border around the first.
struct WindowParams {
  std::uint32_t n = 0;
  Divisor size[2], out_size[2];
  std::int32_t padding[2] = {};

  /// `plane` is the shape of the larger tensor, `pooled` of the smaller.
  template <class Padding>
  static WindowParams of(
      const Shape& plane, const Shape& pooled, const Padding& padding, std::int64_t n) {
    WindowParams params;
    params.n = static_cast<std::uint32_t>(n);
    const std::size_t first = plane.size() - 2;
    for (std::size_t i = 0; i < 2; ++i) {
      params.size[i] = Divisor::of(static_cast<std::uint32_t>(plane[first + i]));
      params.out_size[i] = Divisor::of(static_cast<std::uint32_t>(pooled[first + i]));
      params.padding[i] = static_cast<std::int32_t>(padding[i]);
    }
    return params;
  }
};

}  // namespace troupe::vulkan
