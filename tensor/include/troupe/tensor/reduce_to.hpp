#pragma once

#include <troupe/tensor/tensor.hpp>

namespace troupe {

/// Sums a gradient over the axes along which `like` was broadcast, and casts it to `like`'s dtype;
/// the gradient itself when nothing differs.
[[nodiscard]] Tensor reduce_to(const Tensor& gradient, const Meta& like);

/// The sum of two gradients for one tensor. As in `reduce_to`, 16-bit floats are added in float32,
/// and the sum is rounded.
[[nodiscard]] Tensor add_gradients(const Tensor& a, const Tensor& b);

}  // namespace troupe
