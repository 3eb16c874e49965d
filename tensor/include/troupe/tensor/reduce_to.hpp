#pragma once

#include <troupe/tensor/tensor.hpp>

namespace troupe {

/// Sums a gradient over the axes along which `like` was broadcast, and casts it to `like`'s dtype;
/// the gradient itself when nothing differs.
[[nodiscard]] Tensor reduce_to(const Tensor& gradient, const Meta& like);

}  // namespace troupe
