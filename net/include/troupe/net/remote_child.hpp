#pragma once

#include <troupe/core/supervisor.hpp>
#include <troupe/net/network.hpp>

#include <functional>
#include <string>
#include <utility>

namespace troupe::net {

namespace detail {
[[nodiscard]] ChildSpec remote_child(
    std::string name,
    std::function<Future<Found>()> make,
    std::function<void(const Address<>& child)> started,
    Restart restart);
}  // namespace detail

/// A child at a peer, for a `Supervisor` of this process: made there, watched from here, and made
/// again when it ended and should not have. An actor here stands for it and ends as it does, so to
/// a supervisor it is a child like any other.
///
///     system.spawn<Supervisor>(std::vector{net::remote_child(
///         "counter", network, "worker-1", "counter", CounterArguments{40},
///         [](const Address<>& counter) { … })});
///
/// @param kind     what the peer calls such actors; see `Network::offer`
/// @param started  is told each new one, in a turn of the actor that stands for it
/// Fails     as the child does; with what the peer refuses it for; with `peer_down` once the peer
/// is
///           gone: one that stays away is soon more than a supervisor cures, and for the one above.
/// Ends      when asked to, after the child has ended.
/// Lifetime  the network must outlive the supervisor.
template <class Arguments>
[[nodiscard]] ChildSpec remote_child(
    std::string name,
    Network& network,
    std::string node,
    std::string kind,
    Arguments arguments,
    std::function<void(const Address<>& child)> started = {},
    Restart restart = Restart::permanent) {
  return detail::remote_child(
      std::move(name),
      [&network, node = std::move(node), kind = std::move(kind), arguments = std::move(arguments)] {
        return network.spawn(node, kind, Arguments(arguments));
      },
      std::move(started),
      restart);
}

}  // namespace troupe::net
