#pragma once

#include <troupe/core/bytes.hpp>
#include <troupe/core/message.hpp>
#include <troupe/core/ref.hpp>
#include <troupe/net/fields.hpp>
#include <troupe/net/frame.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace troupe {
class ActorCell;
}

namespace troupe::net {

/// An actor's address as it travels: whose the actor is, seen from who sends it, and what opens it
/// there.
struct WireAddress {
  enum class Owner : std::uint8_t { nobody, sender, receiver };
  Owner owner = Owner::nobody;
  Capability capability;
};

/// Turns addresses into what travels, and back. Both throw what refuses the message.
class AddressBook {
 public:
  virtual ~AddressBook() = default;
  [[nodiscard]] virtual WireAddress write(const Ref<ActorCell>& actor) = 0;
  [[nodiscard]] virtual Ref<ActorCell> read(const WireAddress& address) = 0;
};

/// What goes into a frame of one message, or of what else shows its fields.
struct Encoded {
  Bytes meta;
  Bytes payload;
};

/// The meta bytes are the message's number, then its fields as `encode_fields` writes them.
/// The first `Bytes` that hold anything travel as the payload, as they lie in memory; any others
/// among the meta bytes.
///
/// Errors  throws `unsupported` for a field that cannot leave the process, and for more meta bytes
///         than a frame takes; what the book throws.
[[nodiscard]] Encoded encode_message(MessageId id, const Shown& message, AddressBook& book);

/// The number of the message in these bytes. Throws `wire_corrupt`.
[[nodiscard]] MessageId message_id(std::span<const std::byte> meta);

/// Shows `fields` a visitor that reads what `encode_message` wrote. Nothing is reserved that is not
/// there: a list is no longer than the bytes that are left.
///
/// Errors  throws `wire_corrupt` for bytes that do not fit the fields, and for bytes left over;
///         what the book throws.
void decode_message(
    std::span<const std::byte> meta, const Bytes& payload, AddressBook& book, const Shown& fields);

}  // namespace troupe::net
