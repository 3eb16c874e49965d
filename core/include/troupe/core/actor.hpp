#pragma once

#include <troupe/core/address.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace troupe {

class Error;

/// Base of all actors' bodies: what an actor may know of itself. Use `Actor<Messages…>`.
class ActorBase {
 public:
  ActorBase(const ActorBase&) = delete;
  ActorBase& operator=(const ActorBase&) = delete;

 protected:
  ActorBase() noexcept;  // finds the cell that System::spawn is just filling
  ~ActorBase() = default;

  [[nodiscard]] ActorCell& cell() const noexcept { return *cell_; }
  [[nodiscard]] System& system() const noexcept { return cell_->system(); }

  /// Ends this actor after the current message, as wished (`stop()`) or with an error; monitors are
  /// told by `Down`, links stop too if it was an error.
  void stop() noexcept;
  void stop(Error reason);

 private:
  ActorCell* cell_;
};

/// An actor: private state, and one `on` for each message type it takes, by rvalue, by constant
/// reference or by value. It handles one message at a time and never blocks; what it throws ends it
/// and becomes `Down` for its monitors.
///
///     class Counter final : public Actor<Add, Ask> {
///       friend ActorAccess;
///       void on(Add&& add) { total_ += add.amount; }
///       void on(const Ask& ask) { ask.reply_to.send(Total{total_}); }
///       …
///     };
///     Address<Add, Ask> counter = system.spawn<Counter>();
///
/// `on` may be public instead. Two constants are optional: `static constexpr std::string_view
/// name`, by which reports and traces call it, and `static constexpr bool heavy = true`, which says
/// that a turn takes far longer than waking a thread (decoding an image, not adding a number). A
/// function `std::string_view trace_name() const` names what this very actor does, for traces: an
/// op, say. Its text must outlive the system. A function `std::string waits_for() const` says in
/// the report of a stall what the actor waits for; it is called as if in a turn, and must only
/// read.
template <MessagePayload... Ms>
class Actor : public ActorBase {
 public:
  using AddressType = Address<Ms...>;

 protected:
  /// This actor's own address.
  [[nodiscard]] Address<Ms...> self() const noexcept {
    return Address<Ms...>(Ref<ActorCell>::share(&cell()));
  }
};

/// Lets the runtime reach an actor's private `on`.
struct ActorAccess {
  /// The body in a cell of this process, or null when an actor of another class lives there or a
  /// remote one. For fast paths that read what the body offers to any thread; everything else is a
  /// message.
  template <class Body>
  [[nodiscard]] static Body* body_if(ActorCell& cell) noexcept {
    return &cell.actor_class() == &class_of<Body> ? &body_of<Body>(cell) : nullptr;
  }

 private:
  friend class System;

  template <class Body>
  static constexpr std::size_t body_offset = (sizeof(ActorCell) + alignof(Body) - 1) /
                                             alignof(Body) * alignof(Body);

  template <class Body>
  static Body& body_of(ActorCell& cell) noexcept {
    return *std::launder(
        reinterpret_cast<Body*>(reinterpret_cast<std::byte*>(&cell) + body_offset<Body>));
  }

  template <class Body, class... Ms>
  static void handle(Body& body, Message& message, const Address<Ms...>*) {
    if constexpr (is_remote<Body>()) return body.on_any(message);
    // Address admits no other type, so one always fits.
    (void)((&message.type() == &message_type<Ms> &&
            (body.on(std::move(static_cast<Envelope<Ms>&>(message).payload)), true)) ||
           ...);
  }

  template <class... Ms>
  static bool accepts(const MessageType& type, const Address<Ms...>*) noexcept {
    return ((&type == &message_type<Ms>) || ...);
  }

  template <class Body>
  static constexpr std::string_view name_of() noexcept {
    if constexpr (requires { std::string_view(Body::name); }) {
      return Body::name;
    } else {
      // "… name_of() [with Body = troupe::Counter; …]": what the compiler calls the class.
      constexpr std::string_view text = __PRETTY_FUNCTION__;
      constexpr std::size_t from = text.find("Body = ") + 7;
      return text.substr(from, text.find_first_of(";]", from) - from);
    }
  }

  template <class Body>
  static constexpr auto trace_name_of() noexcept
      -> std::string_view (*)(const ActorCell&) noexcept {
    if constexpr (requires(const Body& body) { std::string_view(body.trace_name()); }) {
      return [](const ActorCell& cell) noexcept {
        return std::string_view(body_of<Body>(const_cast<ActorCell&>(cell)).trace_name());
      };
    } else {
      return nullptr;
    }
  }

  template <class Body>
  static constexpr auto waits_for_of() noexcept -> std::string (*)(const ActorCell&) {
    if constexpr (requires(const Body& body) { std::string(body.waits_for()); }) {
      return [](const ActorCell& cell) {
        return std::string(body_of<Body>(const_cast<ActorCell&>(cell)).waits_for());
      };
    } else {
      return nullptr;
    }
  }

  template <class Body>
  static constexpr bool is_remote() noexcept {
    if constexpr (requires { bool(Body::remote); }) {
      return Body::remote;
    } else {
      return false;
    }
  }

  template <class Body>
  static constexpr bool is_heavy() noexcept {
    if constexpr (requires { bool(Body::heavy); }) {
      return Body::heavy;
    } else {
      return false;
    }
  }

  template <class Body>
  static constexpr ActorClass class_of{
      name_of<Body>(),
      static_cast<std::uint32_t>(body_offset<Body> + sizeof(Body)),
      [](ActorCell& cell, Message& message) {
        handle(
            body_of<Body>(cell), message, static_cast<const typename Body::AddressType*>(nullptr));
      },
      [](ActorCell& cell) noexcept { body_of<Body>(cell).~Body(); },
      is_heavy<Body>(),
      trace_name_of<Body>(),
      waits_for_of<Body>(),
      is_remote<Body>(),
      [](const MessageType& type) noexcept {
        return is_remote<Body>() ||
               accepts(type, static_cast<const typename Body::AddressType*>(nullptr));
      }};
};

}  // namespace troupe
