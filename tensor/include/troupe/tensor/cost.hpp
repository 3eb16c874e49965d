#pragma once

#include <troupe/tensor/meta.hpp>

#include <span>

namespace troupe {

class OpInstance;

/// What an op takes at least, however it is computed.
struct Cost {
  double flops = 0;  ///< operations on numbers
  double bytes = 0;  ///< that are read and written
};

/// From an op's attributes and the metas of its operands, as its shape rule takes and makes them.
///
/// flops  two for each product of matmul, linear and the convolutions, padding included, and one
///        for each element of a bias; one for each element of the output of elementwise ops,
///        whatever the function; of other ops, one for each element of the largest operand, but
///        of what lookups look into; none for views.
/// bytes  each input read once, each output written once; of what lookups look into, only what they
///        take. None for views, though a reshape that finds no strides copies.
/// Fused  the sum of its ops' flops; bytes of what enters and leaves it alone.
[[nodiscard]] Cost cost_of(
    const OpInstance& op, std::span<const Meta> inputs, std::span<const Meta> outputs);

}  // namespace troupe
