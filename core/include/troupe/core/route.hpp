#pragma once

#include <troupe/core/monitor.hpp>
#include <troupe/core/result.hpp>
#include <troupe/core/system.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

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

/// What carries bytes between processes, seen from above. One of the six interfaces between Troupe
/// and the outside world; the real one is a socket, the simulated one a queue that loses, delays
/// and reorders by seed.
///
/// Threads   any. What arrives is told on the transport's own thread or in a turn, and must be
/// handed
///           on at once.
class Transport {
 public:
  /// One connection to a peer.
  class Link {
   public:
    virtual ~Link() = default;
    /// Queues bytes to be sent, in order; `stopped` once the link is down.
    virtual Result<void> send(std::span<const std::byte> bytes) = 0;
    virtual void close() noexcept = 0;
  };
  struct Events {
    std::function<void(std::span<const std::byte>)> arrived;
    std::function<void(const Error&)> down;  ///< the last, exactly once
  };

  virtual ~Transport() = default;
  virtual Result<std::unique_ptr<Link>> connect(const std::string& peer, Events events) = 0;
  /// Calls `accepted` with each link that a peer opens; what it returns hears of that link.
  virtual Result<void> listen(
      const std::string& at, std::function<Events(std::unique_ptr<Link>)> accepted) = 0;
};

}  // namespace troupe
