#pragma once

#include <troupe/core/fields.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe {

/// A message type's number on the wire; never renumbered. Below 65,536 Troupe's own, a hundred for
/// each module: core from 1, tensor from 100, autograd from 200, data from 300; see `MessageList`.
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
  /// Makes a message for `to` whose fields a visitor reads from somewhere; to be delivered to `to`.
  /// Null when the payload cannot be made without its fields.
  Message* (*read)(ActorCell& to, FieldVisitor& visitor) = nullptr;
  /// Something else bounds how much of it is under way, such as a stream's credit or a quota, or it
  /// is news that must come: limits on what may wait to be sent do not hold it up. By the payload's
  /// `static constexpr bool bounded = true`.
  bool bounded = false;
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
Message* read_message(ActorCell& to, FieldVisitor& visitor);  // in actor_cell.hpp
template <class M>
constexpr auto read_of() noexcept -> Message* (*)(ActorCell&, FieldVisitor&) {
  if constexpr (requires { M{}; }) {
    return &read_message<M>;
  } else {
    return nullptr;
  }
}
template <class M>
constexpr auto control_of() noexcept -> void (*)(ActorCell&, Message&) {
  if constexpr (requires { &M::control; }) {
    return &M::control;
  } else {
    return nullptr;
  }
}
template <class M>
constexpr bool bounded_of() noexcept {
  if constexpr (requires { bool(M::bounded); }) {
    return M::bounded;
  } else {
    return control_of<M>() != nullptr;
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
    detail::trace_key_of<M>(),
    detail::read_of<M>(),
    detail::bounded_of<M>()};

template <class M>
Envelope<M>::Envelope(M&& message) noexcept
    : Message(message_type<M>), payload(static_cast<M&&>(message)) {
  static_assert(alignof(Envelope) <= alignof(std::max_align_t), "the pool aligns to 16 bytes");
}

/// The messages of one module, by type: each has a number of its own, in the module's range.
///
///     using DataMessages = MessageList<300, 399, Batch, Decoded, Decode, Begin>;
///     static_assert(DataMessages::size == 4);
template <std::uint32_t first, std::uint32_t last, MessagePayload... Ms>
struct MessageList {
  static constexpr std::size_t size = sizeof...(Ms);

  /// The type with this number; null when it is none of these.
  [[nodiscard]] static const MessageType* find(MessageId id) noexcept {
    const MessageType* found = nullptr;
    (void)((MessageId(Ms::id) == id && (found = &message_type<Ms>, true)) || ...);
    return found;
  }

 private:
  static constexpr bool numbers_differ() noexcept {
    const std::uint32_t numbers[] = {static_cast<std::uint32_t>(MessageId(Ms::id))...};
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (numbers[i] == numbers[j]) return false;
    return true;
  }
  static_assert(
      ((static_cast<std::uint32_t>(MessageId(Ms::id)) >= first &&
        static_cast<std::uint32_t>(MessageId(Ms::id)) <= last) &&
       ...),
      "a message's number lies outside its module's range");
  static_assert(numbers_differ(), "two messages have the same number");
};

/// The type of one of core's own messages, `monitor` and `stop` included, that another process may
/// send; null for any other number.
[[nodiscard]] const MessageType* core_message(MessageId id) noexcept;

}  // namespace troupe
