#pragma once

#include "encoder.hpp"

#include <span>

namespace troupe::vulkan {

using EncodeFunction = void (*)(Encoder& encoder);

/// Fills in the kernel of each op by its id; null for views, and for ops of the user's own.
void add_kernels(std::span<EncodeFunction> by_id);

/// Encodes an elementwise op.
void encode_elementwise(Encoder& encoder);

}  // namespace troupe::vulkan
