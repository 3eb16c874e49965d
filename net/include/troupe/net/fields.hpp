#pragma once

#include <troupe/core/bytes.hpp>
#include <troupe/core/fields.hpp>

#include <cstddef>
#include <functional>
#include <span>

namespace troupe::net {

/// Shows itself to a visitor.
using Shown = std::function<void(FieldVisitor& visit)>;

/// Fields one after another, as messages have them: numbers in 8 bytes from the lowest up, a bool
/// in one, texts and `Bytes` behind their length. For what a message carries in `Bytes` because it
/// may be more than its own fields may take.
///
/// Errors  throws `unsupported` for a field that cannot leave the process, as an address cannot
///         without a message.
[[nodiscard]] Bytes encode_fields(const Shown& fields);

/// Shows `fields` a visitor that reads what `encode_fields` wrote, out of bytes from another
/// process. Nothing is reserved that is not there: a list is no longer than the bytes that are
/// left.
///
/// Errors  throws `wire_corrupt`, naming the byte, for bytes that do not fit the fields, and for
///         bytes left over; `invalid_argument` for a number that its field cannot hold.
void decode_fields(std::span<const std::byte> bytes, const Shown& fields);

}  // namespace troupe::net
