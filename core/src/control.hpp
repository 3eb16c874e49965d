#pragma once

#include "actor_extra.hpp"

#include <troupe/core/monitor.hpp>

#include <optional>
#include <utility>

namespace troupe {

/// What the runtime's own messages may do to the actor in whose turn they are handled.
struct ControlAccess {
  static detail::ActorExtra& extra(ActorCell& cell) {
    detail::ActorExtra* extra = cell.extra_.load(std::memory_order_relaxed);
    if (!extra) cell.extra_.store(extra = new detail::ActorExtra, std::memory_order_release);
    return *extra;
  }
  /// Why it ends or ended. In its turn, or of one that has stopped.
  static const std::optional<Error>& reason(const ActorCell& cell) {
    static const std::optional<Error> none;
    const detail::ActorExtra* extra = cell.extra_.load(std::memory_order_acquire);
    return extra ? extra->reason : none;
  }
  static void stop(ActorCell& cell, std::optional<Error> reason) {
    if (cell.stopped()) return;
    if (reason && !extra(cell).reason) extra(cell).reason = std::move(reason);
    cell.stop_after_turn();
  }
  static Down down(ActorCell& cell) {
    const std::optional<Error>& why = reason(cell);
    return {Address<>(Ref<ActorCell>::share(&cell)), why.has_value(), why ? *why : Error()};
  }
  template <class M>
  static M& payload(Message& message) {
    return static_cast<Envelope<M>&>(message).payload;
  }
  template <class M>
  static void send(ActorCell& cell, M message) {
    cell.deliver(*cell.make_message<M>(std::move(message)));
  }
};

/// Carries an actor's last reference through its own mailbox; see `ActorCell`. Handled by the
/// scheduler itself, for the cell may be gone afterwards.
struct Unreachable {
  static constexpr MessageId id{2};
  static constexpr std::string_view name = "unreachable";
  static void control(ActorCell&, Message&) {}

  template <class V>
  void fields(V&) {}
};

struct Monitor {
  static constexpr MessageId id{4};
  static constexpr std::string_view name = "monitor";
  static void control(ActorCell& cell, Message& message);

  Address<Down> watcher;
  bool on = true;

  template <class V>
  void fields(V& visit) {
    visit.field("watcher", watcher);
    visit.field("on", on);
  }
};

struct Link {
  static constexpr MessageId id{5};
  static constexpr std::string_view name = "link";
  static void control(ActorCell& cell, Message& message);

  Ref<ActorCell> other;
  bool on = true;

  template <class V>
  void fields(V& visit) {
    visit.field("other", other);
    visit.field("on", on);
  }
};

/// A linked actor has failed.
struct LinkDown {
  static constexpr MessageId id{6};
  static constexpr std::string_view name = "link_down";
  static void control(ActorCell& cell, Message& message);

  Ref<ActorCell> other;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("other", other);
    visit.field("reason", reason);
  }
};

struct Stop {
  static constexpr MessageId id{7};
  static constexpr std::string_view name = "stop";
  static void control(ActorCell& cell, Message& message);

  bool failed = false;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("failed", failed);
    visit.field("reason", reason);
  }
};

}  // namespace troupe
