#pragma once

#include <troupe/cluster/collectives.hpp>

#include <cstddef>

namespace troupe::cluster {

/// out[i] = left[i] ∘ right[i] for `bytes` of whole elements of a reducible dtype, of any
/// alignment. `out` may be `left` or `right`, but must not overlap them otherwise.
void combine(
    DType dtype,
    Reduction reduction,
    std::byte* out,
    const std::byte* left,
    const std::byte* right,
    std::size_t bytes) noexcept;

}  // namespace troupe::cluster
