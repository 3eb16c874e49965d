#pragma once

#include <troupe/tensor/op.hpp>

#include <span>

namespace troupe {

/// Whether the scope's `Autocast` is about a product of these: floats of 32 or 16 bits, of which at
/// least one is a float32.
[[nodiscard]] bool autocasts(std::span<const Operand> factors);

/// Calls a product as people do: under an `Autocast` that is about its factors, the first two
/// operands, they are cast to its dtype and the product is cast back to float32.
[[nodiscard]] Tensor apply_product(OpRef op, std::span<const Operand> operands);

}  // namespace troupe
