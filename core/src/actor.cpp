#include "control.hpp"
#include "seat.hpp"

#include <troupe/core/actor.hpp>
#include <troupe/core/error.hpp>

namespace troupe {

ActorBase::ActorBase() noexcept : cell_(thread_context.spawning) {}

void ActorBase::stop() noexcept { cell_->stop_after_turn(); }

void ActorBase::stop(Error reason) {
  if (reason.actor().empty()) reason.actor(cell_->name());
  ControlAccess::stop(*cell_, std::move(reason));
}

}  // namespace troupe
