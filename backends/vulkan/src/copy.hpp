#pragma once

#include "encoder.hpp"

namespace troupe::vulkan {

/// Copies `from`, in whatever layout, to `to`, which is contiguous and has the same shape and
/// dtype.
void encode_copy(Encoder& encoder, const Value& from, const Value& to);

/// The same into a part of `to`, which may be of any shape: the elements go to the place `offset`,
/// `strides` apart.
void encode_copy(
    Encoder& encoder, const Value& from, const Value& to, const Dims& strides, std::int64_t offset);

/// The same numbers in another dtype, whatever the layout of `from`; `to` is contiguous and has the
/// same shape.
void encode_cast(Encoder& encoder, const Value& from, const Value& to);

}  // namespace troupe::vulkan
