#include "control.hpp"

#include <troupe/core/route.hpp>

#include <algorithm>

namespace troupe::detail {

namespace {

/// Monitors a remote actor for its stand-in. An actor of its own, for on the wire the stand-in's
/// address means the remote actor. It holds the stand-in: while somebody waits for news, news come.
class Lookout final : public Actor<Down> {
 public:
  static constexpr std::string_view name = "remote.lookout";
  explicit Lookout(Ref<ActorCell> stand_in) : stand_in_(std::move(stand_in)) {}

 private:
  friend ActorAccess;
  void on(Down&& down) {
    down.actor = Address<>(stand_in_);
    ControlAccess::send(*stand_in_, std::move(down));
    stop();
  }

  Ref<ActorCell> stand_in_;
};

}  // namespace

void StandIn::on_any(Message& message) {
  const MessageType& type = message.type();
  if (&type == &message_type<Monitor> || &type == &message_type<Link>) {
    type.control(cell(), message);
    const ActorExtra& extra = ControlAccess::extra(cell());
    return watch(!extra.monitors.empty() || !extra.links.empty());
  }
  if (&type == &message_type<LinkDown>) {
    type.control(cell(), message);
    // Tied to one that failed: the remote actor shares its fate, and this one's.
    if (const std::optional<Error>& reason = ControlAccess::reason(cell())) {
      Envelope<Stop> stop(Stop{true, *reason});
      route_->send(cell(), stop);
    }
    return;
  }
  if (&type == &message_type<Down>) {
    Down& down = ControlAccess::payload<Down>(message);
    if (down.actor.cell().get() == &cell()) {
      // From its lookout: what became of the remote actor becomes of this one.
      watcher_ = {};
      return ControlAccess::stop(
          cell(), down.failed ? std::optional<Error>(std::move(down.reason)) : std::nullopt);
    }
  }
  route_->send(cell(), message);
}

void StandIn::watch(bool wanted) {
  if (wanted == static_cast<bool>(watcher_)) return;
  if (wanted) watcher_ = system().spawn<Lookout>(Ref<ActorCell>::share(&cell()));
  Envelope<Monitor> monitor(Monitor{watcher_, wanted});
  if (!wanted) watcher_ = {};
  route_->send(cell(), monitor);
}

}  // namespace troupe::detail

namespace troupe {

void end_remote(ActorCell& stand_in, Error reason) {
  ControlAccess::send(
      stand_in, Down{Address<>(Ref<ActorCell>::share(&stand_in)), true, std::move(reason)});
}

}  // namespace troupe
