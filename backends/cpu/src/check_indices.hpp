#pragma once

#include "kernel.hpp"

#include <string_view>

namespace troupe::cpu {

/// Throws `invalid_argument` for the first index outside [low, high) that is not `ignored`, naming
/// its place, value and the range. Plan functions call it before any chunk runs: a kernel cannot
/// throw, and must never look beyond a tensor. Compiled once, for every processor.
///
/// `what` names the tensor and the range's meaning, as "the target's class".
void check_indices(
    const View& indices,
    std::int64_t low,
    std::int64_t high,
    std::string_view what,
    const std::int64_t* ignored = nullptr);

}  // namespace troupe::cpu
