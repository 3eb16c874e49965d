#pragma once

#include <troupe/tensor/tensor.hpp>

namespace troupe {

/// What the reductions that choose an element return.
struct ValuesIndices {
  Tensor values;
  Tensor indices;  ///< int64
};

/// 0, 1, 2, … along one axis of a shape, with size 1 along the others.
[[nodiscard]] Tensor places_along(std::int64_t axis, const Shape& shape);

}  // namespace troupe
