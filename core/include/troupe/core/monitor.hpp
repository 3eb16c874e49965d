#pragma once

#include <troupe/core/address.hpp>
#include <troupe/core/error.hpp>

namespace troupe {

/// Tells a monitor that an actor has ended: exactly once for each monitor set, also when the actor
/// had ended before.
struct Down {
  static constexpr MessageId id{3};
  static constexpr std::string_view name = "down";
  static constexpr bool bounded = true;  // one for each monitor

  Address<> actor;      ///< who ended; for comparison, for it takes no message any more
  bool failed = false;  ///< whether by an error; else it stopped as wished or nobody could reach it
  Error reason;         ///< the error, if it failed

  template <class V>
  void fields(V& visit) {
    visit.field("actor", actor);
    visit.field("failed", failed);
    visit.field("reason", reason);
  }
};

/// Asks that `watcher` gets `Down` when the actor at `target` ends.
void monitor(const Address<>& target, const Address<Down>& watcher);
/// Takes back all monitors that `watcher` set on `target`; a `Down` already sent still comes.
void demonitor(const Address<>& target, const Address<Down>& watcher);

/// Ties two actors to one fate: when one ends by an error, so does the other, with `actor_down`;
/// also when it had failed before. Linked actors hold each other's address: neither becomes
/// unreachable while the other lives, so they end by `stop` or an error, or are unlinked first.
void link(const Address<>& one, const Address<>& other);
void unlink(const Address<>& one, const Address<>& other);

/// Asks an actor to end after the messages already in its mailbox: as wished, or with an error.
void stop(const Address<>& actor);
void stop(const Address<>& actor, Error reason);

}  // namespace troupe
