#include "control.hpp"

#include <troupe/core/monitor.hpp>

#include <algorithm>

namespace troupe {

namespace {

void fail_with(ActorCell& cell, const ActorCell& linked, const Error& reason) {
  ControlAccess::stop(
      cell,
      Error(ErrorCode::actor_down, "a linked actor failed: " + reason.message())
          .actor(linked.name()));
}

}  // namespace

void Monitor::control(ActorCell& cell, Message& message) {
  auto& [watcher, on] = ControlAccess::payload<Monitor>(message);
  if (on && cell.stopped()) return watcher.send(ControlAccess::down(cell));
  if (cell.stopped()) return;
  auto& monitors = ControlAccess::extra(cell).monitors;
  if (on) {
    monitors.push_back(std::move(watcher));
  } else {
    std::erase(monitors, watcher);
  }
}

void Link::control(ActorCell& cell, Message& message) {
  auto& [other, on] = ControlAccess::payload<Link>(message);
  if (cell.stopped()) {
    // Too late to be tied: what would have come to the other comes now.
    const auto& reason = ControlAccess::reason(cell);
    if (on && reason) ControlAccess::send(*other, LinkDown{Ref<ActorCell>::share(&cell), *reason});
    return;
  }
  auto& links = ControlAccess::extra(cell).links;
  std::erase(links, other);
  if (!on) return;
  if (!other->stopped()) return links.push_back(std::move(other));
  // It ended before both were tied: its news, if they came first, found no tie here.
  if (const auto& reason = ControlAccess::reason(*other)) fail_with(cell, *other, *reason);
}

void LinkDown::control(ActorCell& cell, Message& message) {
  auto& [other, reason] = ControlAccess::payload<LinkDown>(message);
  if (cell.stopped()) return;
  auto& links = ControlAccess::extra(cell).links;
  // Unlinked meanwhile: none of its business any more.
  if (std::erase(links, other) == 0) return;
  fail_with(cell, *other, reason);
}

void Stop::control(ActorCell& cell, Message& message) {
  auto& [failed, reason] = ControlAccess::payload<Stop>(message);
  ControlAccess::stop(cell, failed ? std::optional<Error>(std::move(reason)) : std::nullopt);
}

void monitor(const Address<>& target, const Address<Down>& watcher) {
  ControlAccess::send(*target.cell(), Monitor{watcher, true});
}

void demonitor(const Address<>& target, const Address<Down>& watcher) {
  ControlAccess::send(*target.cell(), Monitor{watcher, false});
}

void link(const Address<>& one, const Address<>& other) {
  ControlAccess::send(*one.cell(), Link{other.cell(), true});
  ControlAccess::send(*other.cell(), Link{one.cell(), true});
}

void unlink(const Address<>& one, const Address<>& other) {
  ControlAccess::send(*one.cell(), Link{other.cell(), false});
  ControlAccess::send(*other.cell(), Link{one.cell(), false});
}

void stop(const Address<>& actor) { ControlAccess::send(*actor.cell(), Stop{false, {}}); }

void stop(const Address<>& actor, Error reason) {
  ControlAccess::send(*actor.cell(), Stop{true, std::move(reason)});
}

}  // namespace troupe
