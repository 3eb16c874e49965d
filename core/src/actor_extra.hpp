#pragma once

#include <troupe/core/monitor.hpp>

#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::detail {

/// What few actors have: kept apart, so that the cell of an op stays small. Changed only in the
/// actor's own turn, so it needs no lock.
struct ActorExtra {
  std::string name;                        ///< set before anybody knows the actor
  std::list<ActorCell*>::iterator listed;  ///< in the system's list of named actors
  std::string_view traced_name;            ///< the same, kept by the tracer beyond this actor's end
  std::optional<Error> reason;             ///< why it ends, or ended, if by an error
  std::vector<Address<Down>> monitors;
  std::vector<Ref<ActorCell>> links;
};

}  // namespace troupe::detail
