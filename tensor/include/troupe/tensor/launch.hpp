#pragma once

#include <troupe/tensor/device.hpp>
#include <troupe/tensor/op.hpp>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

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
    Where where,
    std::span<Value> outputs);

/// Whether an op that donates may write its output over this input: nobody but the caller's
/// `holders` holds it, and it has the output's dtype, shape and layout.
[[nodiscard]] bool may_be_written(
    const Value& value, const Meta& output, std::uint32_t holders = 1) noexcept;

/// The same elements in row-major order: the value itself, or a copy.
[[nodiscard]] Ticket make_contiguous(Device& device, const Value& value, Value& out);

/// Whether a floating-point value holds a NaN; it must be complete.
[[nodiscard]] bool has_nan(const Value& value);

/// What the trap says of an op that made a NaN out of inputs without one. `vjp_of`: the op whose
/// gradient was computed, if any.
[[nodiscard]] Error nan_made(std::string_view op, const Meta& output, std::string_view vjp_of);
/// And of one whose input, described by `what`, held it before any op ran.
[[nodiscard]] Error nan_came_in(
    std::string_view op, std::size_t input, const std::string& what, std::string_view vjp_of);

}  // namespace troupe
