#pragma once

#include "wire.hpp"

#include <troupe/core/monitor.hpp>
#include <troupe/core/route.hpp>
#include <troupe/net/network.hpp>

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe::net {

class Peering;
class PeerRoute;

/// What a message to the network itself, and not to an actor, is for.
struct Release {
  static constexpr MessageId id{610};
  static constexpr std::string_view name = "release";

  Capability capability;
  std::uint64_t count = 0;  ///< of times that the address came

  template <class V>
  void fields(V& visit) {
    visit.field("high", capability.high);
    visit.field("low", capability.low);
    visit.field("count", count);
  }
};
/// Asks for a published actor; its name and an `Address<Found>` follow.
inline constexpr MessageId find_id{611};
/// Asks for an actor to be made; name, `Address<Found>` and the arguments follow.
inline constexpr MessageId spawn_id{612};

struct CapabilityHash {
  std::size_t operator()(const Capability& capability) const noexcept {
    return static_cast<std::size_t>(capability.low);  // drawn at random
  }
};

/// One peer: the session, its connections, and whose addresses each side has of the other.
///
/// Threads  all but `node` behind the network's lock. What arrives is taken in by the transport's
///          thread alone.
class Peering final : public std::enable_shared_from_this<Peering> {
 public:
  /// Dials.
  Peering(Network::State& network, const Endpoint& at, const std::string& node);
  /// Was dialed.
  Peering(Network::State& network, const Hello& hello);
  ~Peering();

  /// What the lock is let go for: the end of an actor, which may reach for the network.
  using Garbage = std::vector<Ref<ActorCell>>;

  // Any thread.
  /// @param bounded  the quota for what waits does not hold it up
  void send(
      const Capability& to,
      unsigned lane,
      MessageId id,
      const Shown& message,
      bool bounded = false);
  /// Writes what there is to write.
  void pump();
  [[nodiscard]] PeerStatus status() const;
  [[nodiscard]] bool over() const noexcept { return over_.has_value(); }
  [[nodiscard]] bool up() const noexcept { return up_ && !over_; }
  [[nodiscard]] bool dialed() const noexcept { return at_.has_value(); }
  [[nodiscard]] const std::string& node() const { return session_->peer(); }
  [[nodiscard]] Session& session() noexcept { return *session_; }
  void await_up(Ref<detail::FutureState<PeerUp>> future);
  void tell_waiting(const PeerUp& up);
  [[nodiscard]] Address<> import(const Capability& capability);
  [[nodiscard]] std::optional<Capability> imported(const ActorCell* stand_in) const;
  [[nodiscard]] Capability export_actor(const Ref<ActorCell>& actor);
  [[nodiscard]] Ref<ActorCell> exported(const Capability& capability) const;
  void route_gone(const Capability& capability, std::uint64_t count);
  [[nodiscard]] unsigned lane_of(const Capability& capability) const;

  // The transport's thread.
  /// @returns  who hears of the connection from now on; what came up is dealt with at its next call
  std::shared_ptr<ConnectionEvents> accept(
      const Hello& hello, const std::shared_ptr<Connection>& connection);
  void on_connected(unsigned lane, const Connection* connection);
  void on_bytes(unsigned lane, const Connection* connection, std::span<const std::byte> bytes);
  [[nodiscard]] Room room(unsigned lane, const Connection* connection) const;
  void on_written(unsigned lane, const Connection* connection);
  void on_closed(unsigned lane, const Connection* connection, bool refused, const Error& why);
  void on_timer();
  /// Deals with all that came. The lock is let go of meanwhile.
  void process(std::unique_lock<std::mutex>& lock, Garbage& garbage);
  /// Lets go of stand-ins that nobody else has.
  void sweep(Garbage& garbage);
  void finish(const Over& over, Garbage& garbage);

 private:
  struct Lane {
    std::shared_ptr<Connection> connection;
    std::shared_ptr<const WriteBatch> batch;  // being written
    bool full = false;                        // no credit
    struct Message {
      Capability to;
      Encoded encoded;
      std::uint64_t counted = 0;  // bytes, of what only the quota bounds
    };
    std::deque<Message> waiting;
    std::uint64_t waiting_bytes = 0;
  };
  struct Export {
    Ref<ActorCell> actor;
    std::uint64_t count = 0;
    bool spawned = false;  // at the peer's wish
  };
  struct Import {
    Ref<ActorCell> stand_in;
    std::weak_ptr<PeerRoute> route;
  };
  class Book;
  class LaneEvents;

  void begin();
  void dial(unsigned lane);
  void offer_waiting(unsigned lane);
  void take(std::unique_lock<std::mutex>& lock, const Delivery& delivery, Garbage& garbage);
  void take_for_network(
      std::unique_lock<std::mutex>& lock, const Delivery& delivery, MessageId id, Garbage& garbage);
  void deliver(const Delivery& delivery, MessageId id);
  void refused(const std::string& what);

  Network::State& network_;
  std::optional<Endpoint> at_;
  std::unique_ptr<Session> session_;
  std::vector<Lane> lanes_;
  std::string remote_;
  bool up_ = false;
  std::optional<Error> over_;
  std::optional<Error> last_closed_;  // why the last connection ended, for who wonders
  std::vector<Ref<detail::FutureState<PeerUp>>> awaits_up_;
  std::unordered_map<Capability, Export, CapabilityHash> exports_;
  std::unordered_map<const ActorCell*, Capability> export_of_;
  std::unordered_map<Capability, Import, CapabilityHash> imports_;
  std::vector<Ref<ActorCell>> ended_;  // stand-ins to be let go of, not under the lock
  std::uint32_t spawned_ = 0;
  std::uint32_t refusals_ = 0;
  std::uint64_t messages_sent_ = 0;
  std::uint64_t messages_received_ = 0;
  std::uint64_t bytes_sent_ = 0;
  std::uint64_t bytes_received_ = 0;
  std::uint64_t counted_ = 0;  // bytes that wait, of all lanes
};

/// Takes the messages of one stand-in to its peer.
class PeerRoute final : public Route {
 public:
  PeerRoute(
      std::shared_ptr<Network::State> network,
      std::shared_ptr<Peering> peering,
      const Capability& capability)
      : network_(std::move(network)), peering_(std::move(peering)), capability_(capability) {}
  ~PeerRoute() override;

  void send(ActorCell& to, Message& message) override;

  std::uint64_t count = 0;  ///< of times that the address came; behind the network's lock

 private:
  std::shared_ptr<Network::State> network_;
  std::shared_ptr<Peering> peering_;
  Capability capability_;
};

}  // namespace troupe::net
