#pragma once

#include <troupe/core/fields.hpp>

#include <concepts>
#include <cstdint>
#include <string_view>

namespace troupe {

/// A message type's number on the wire; never renumbered. Below 65,536 Troupe's own.
enum class MessageId : std::uint32_t {};

class ActorCell;
class Message;

/// What the runtime knows of one message type.
struct MessageType {
  MessageId id;
  std::string_view name;
  std::uint32_t size;                                      ///< bytes of the whole envelope
  void (*destroy)(Message& message) noexcept;              ///< the payload's destructor
  void (*visit)(Message& message, FieldVisitor& visitor);  ///< shows the payload's fields
  /// The runtime's own messages (monitor me, stop, …) are handled by this and never reach the body;
  /// null for all others.
  void (*control)(ActorCell& cell, Message& message) = nullptr;
  /// What traces group messages by, a training step for example; null when the payload has no
  /// `std::uint64_t trace_key() const`.
  std::uint64_t (*trace_key)(const Message& message) noexcept = nullptr;
};

/// The head that every message in a mailbox begins with. Its payload follows, in `Envelope<M>`.
///
/// Messages come from the system's pool and link through themselves: queueing one allocates
/// nothing.
class Message {
 public:
  explicit Message(const MessageType& type) noexcept : type_(&type) {}

  [[nodiscard]] const MessageType& type() const noexcept { return *type_; }

 private:
  template <class, class>
  friend class BasicMailbox;
  friend class ActorCell;
  friend class Scheduler;
  friend class System;
  friend class Tracer;

  const MessageType* type_;
  Message* next_ = nullptr;
  std::uint64_t trace_id_ = 0;  // when and where it was sent; 0 while tracing is off
};

template <class M>
class Envelope final : public Message {
 public:
  explicit Envelope(M&& payload) noexcept;

  M payload;
};

/// A message is a movable struct with an id, a name and `fields(visitor)`:
///
///     struct Decoded {
///       static constexpr MessageId id{300};
///       static constexpr std::string_view name = "decoded";
///       …
///       template <class V> void fields(V& visit) { … }
///     };
template <class M>
concept MessagePayload = requires(M& message, FieldVisitor& visitor) {
  { M::id } -> std::convertible_to<MessageId>;
  { M::name } -> std::convertible_to<std::string_view>;
  message.fields(visitor);
};

namespace detail {
template <class M>
constexpr auto control_of() noexcept -> void (*)(ActorCell&, Message&) {
  if constexpr (requires { &M::control; }) {
    return &M::control;
  } else {
    return nullptr;
  }
}
template <class M>
constexpr auto trace_key_of() noexcept -> std::uint64_t (*)(const Message&) noexcept {
  if constexpr (requires(const M& message) { std::uint64_t(message.trace_key()); }) {
    return [](const Message& message) noexcept -> std::uint64_t {
      return static_cast<const Envelope<M>&>(message).payload.trace_key();
    };
  } else {
    return nullptr;
  }
}
}  // namespace detail

template <MessagePayload M>
inline constexpr MessageType message_type{
    M::id,
    M::name,
    sizeof(Envelope<M>),
    [](Message& message) noexcept { static_cast<Envelope<M>&>(message).payload.~M(); },
    [](Message& message, FieldVisitor& visitor) {
      static_cast<Envelope<M>&>(message).payload.fields(visitor);
    },
    detail::control_of<M>(),
    detail::trace_key_of<M>()};

template <class M>
Envelope<M>::Envelope(M&& message) noexcept
    : Message(message_type<M>), payload(static_cast<M&&>(message)) {}

}  // namespace troupe
