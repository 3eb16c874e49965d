#pragma once

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/op.hpp>

#include <cstdint>
#include <span>

namespace troupe {

/// Runs one op of whatever family: views by their rule (copying first where the input's layout does
/// not allow one), everything else by the device, into new buffers or into those an op may take
/// over. What both doors, nodes and programs, call.
///
/// @param outputs  null values to be filled; a value that is there already is written into.
/// @returns null when complete at once; else the outputs must not be read before the ticket is
/// complete.
[[nodiscard]] Ticket launch_op(
    Device& device,
    const OpInstance& op,
    std::span<Value> inputs,
    std::span<const Meta> metas,
    std::uint64_t random_seed,
    std::uint64_t random_call,
    std::span<Value> outputs);

/// The same elements in row-major order: the value itself, or a copy.
[[nodiscard]] Ticket make_contiguous(Device& device, const Value& value, Value& out);

/// Whether a floating-point value holds a NaN; it must be complete.
[[nodiscard]] bool has_nan(const Value& value);

}  // namespace troupe
