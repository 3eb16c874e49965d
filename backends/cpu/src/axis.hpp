#pragma once

#include "kernel.hpp"

namespace troupe::cpu {

/// A tensor seen as three dimensions, [outer, length, inner], with an axis of it in the middle.
template <class A>
struct Axis {
  std::int64_t outer = 1;
  std::int64_t length = 1;
  std::int64_t inner = 1;

  static Axis of(const Shape& shape, std::int64_t dim) {
    const auto rank = static_cast<std::int64_t>(shape.size());
    if (dim < 0) dim += rank;
    Axis axis;
    for (std::int64_t i = 0; i < rank; ++i) {
      std::int64_t& part = i < dim ? axis.outer : i == dim ? axis.length : axis.inner;
      part *= shape[static_cast<std::size_t>(i)];
    }
    return axis;
  }
};

}  // namespace troupe::cpu
