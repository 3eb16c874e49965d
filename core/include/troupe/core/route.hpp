#pragma once

#include <troupe/core/monitor.hpp>
#include <troupe/core/system.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace troupe {

/// How messages get to an actor in another process. An address made by `remote_address` looks like
/// any other; behind it stands a local stand-in, an actor whose turn hands each message to the
/// route.
///
/// Threads   send() in the stand-in's turn: one message at a time, in the order in which they came.
/// Failing   what send() throws ends the stand-in, and its monitors get `Down`, as for any actor.
class Route {
 public:
  virtual ~Route() = default;

  /// Encodes a message and has it sent; `to` is the stand-in. The message is the caller's: its
  /// fields may be shown to a visitor, and it is gone afterwards. Must not block.
  ///
  /// Besides the address's own messages come two of the runtime's, for the actor at the other end:
  /// `Stop` and `Monitor`. There `core_message` finds them by their numbers.
  virtual void send(ActorCell& to, Message& message) = 0;
};

namespace detail {

/// See `remote_address`. For as long as anybody here monitors the remote actor or is linked to it,
/// an actor of this process monitors it on behalf of all. When the route brings back its `Down`,
/// the stand-in ends in the same way, and those are told as for any actor.
class StandIn final : public ActorBase {
 public:
  static constexpr std::string_view name = "remote";
  static constexpr bool remote = true;
  using AddressType = Address<>;

  explicit StandIn(std::shared_ptr<Route> route) noexcept : route_(std::move(route)) {}

 private:
  friend struct troupe::ActorAccess;
  void on_any(Message& message);
  void watch(bool wanted);

  std::shared_ptr<Route> route_;
  Address<Down> watcher_;  // set while it watches
};

}  // namespace detail

/// An address whose messages take this route. When the last copy of it is gone the route is let go.
template <MessagePayload... Ms>
[[nodiscard]] Address<Ms...> remote_address(System& system, std::shared_ptr<Route> route) {
  return Address<Ms...>(system.spawn<detail::StandIn>(std::move(route)).cell());
}

/// Ends a stand-in as the actor that it stands for ended: by an error. Its monitors are told. For
/// a route whose peer is gone, from any thread.
void end_remote(ActorCell& stand_in, Error reason);

}  // namespace troupe
