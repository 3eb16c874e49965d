#pragma once

#include "fold.hpp"

#include <cstdint>

namespace troupe::vulkan {

/// What a sum becomes, as shaders/sum.comp numbers it.
enum class SumResult : std::uint32_t { number = 0, root = 1, wide = 2 };

/// Bytes of what numbers of a dtype are added in (shaders/wide.glsl): two floats, a double or an
/// int64.
inline constexpr std::uint32_t wide_bytes = 8;

/// Memory for `count` numbers of that kind.
[[nodiscard]] Value wide_scratch(Encoder& encoder, std::int64_t count);

/// Encodes y = Σ x / divisor, or with `means` y = Σ (x − mean)² / divisor. `means` and a wide `y`
/// are memory from `wide_scratch`, and not asked for together.
void encode_sum(
    Encoder& encoder,
    const FoldInput& input,
    double divisor,
    const Value& means,
    SumResult result,
    const Value& y);

}  // namespace troupe::vulkan
