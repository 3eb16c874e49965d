#pragma once

#include <troupe/core/future.hpp>
#include <troupe/core/system.hpp>
#include <troupe/net/endpoint.hpp>
#include <troupe/net/security.hpp>
#include <troupe/net/session.hpp>
#include <troupe/net/transport.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::net {

/// A peer is there: both sides may send. Sent to those who `watch_peers`.
struct PeerUp {
  static constexpr MessageId id{600};
  static constexpr std::string_view name = "peer_up";

  std::string node;
  std::uint64_t incarnation = 0;

  template <class V>
  void fields(V& visit) {
    visit.field("node", node);
    visit.field("incarnation", incarnation);
  }
};

/// A peer is gone for good; what its actors were monitored for has been told.
struct PeerDown {
  static constexpr MessageId id{601};
  static constexpr std::string_view name = "peer_down";

  std::string node;
  std::uint64_t incarnation = 0;
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("node", node);
    visit.field("incarnation", incarnation);
    visit.field("reason", reason);
  }
};

/// The answer to `find` and `spawn`.
struct Found {
  static constexpr MessageId id{602};
  static constexpr std::string_view name = "found";

  Address<> actor;  ///< none: see `reason`
  Error reason;

  template <class V>
  void fields(V& visit) {
    visit.field("actor", actor);
    visit.field("reason", reason);
  }
  /// The actor, as one that takes these messages; throws the reason.
  template <MessagePayload... Ms>
  [[nodiscard]] Address<Ms...> as() const {
    if (!actor) throw reason;
    return Address<Ms...>(actor.cell());
  }
};

/// What a peer may make this process hold and do.
struct PeerQuota {
  /// Bytes that wait for its credit and that nothing else bounds. A message more ends its address
  /// with `overload`.
  std::uint64_t waiting_bytes = 256U << 20;
  std::uint32_t actors = 100'000;    ///< of this process, whose addresses it has
  std::uint32_t spawned = 10'000;    ///< actors of its making that live
  std::uint32_t refusals_max = 100;  ///< messages that fit no actor, after which it is cut off
};

struct NetworkOptions {
  std::string node{};             ///< this process's name; with certificates, theirs
  std::string cluster{};          ///< without certificates: only equal ones talk to each other
  std::uint64_t incarnation = 1;  ///< greater in each life of the node
  std::shared_ptr<const Security> security{};  ///< null: this machine only
  SessionOptions session{};
  PeerQuota quota{};
  unsigned peers_max = 1024;
  /// Which types of messages peers may send, besides core's: `MessageList<…>::find`.
  std::vector<const MessageType* (*)(MessageId id) noexcept> messages{};
  /// What carries bytes; null: TCP. Called once, with the function that the alarm calls.
  std::function<std::unique_ptr<Transport>(std::function<void()> alarm)> transport{};
};

/// What is known of a peer at the moment.
struct PeerStatus {
  std::string node;
  std::uint64_t incarnation = 0;
  bool dialed = false;  ///< by this side
  bool up = false;
  std::string remote;              ///< where it is
  std::string trouble;             ///< why its last connection ended; empty: none did
  std::int64_t round_trip_ns = 0;  ///< of the last heartbeat; 0: none yet
  std::uint64_t messages_sent = 0;
  std::uint64_t messages_received = 0;
  std::uint64_t bytes_sent = 0;  ///< meta and payloads
  std::uint64_t bytes_received = 0;
  std::uint64_t waiting_messages = 0;  ///< for credit of the peer
  std::uint64_t waiting_bytes = 0;
  std::uint64_t credit_bytes = 0;  ///< that the peer still takes, on its fullest lane
  unsigned resumes = 0;
  std::size_t exported = 0;  ///< actors here that it has addresses of
  std::size_t imported = 0;  ///< actors there that this process has addresses of
};

/// Makes actors of other processes usable like local ones. Attached to a system:
///
///     auto& network = net::attach(system, {.node = "worker-1", .security = security});
///     network.listen({"0.0.0.0", 7000});
///     Future<PeerUp> up = network.connect({"leader", 7000});
///     Address<Add> counter = network.find(up.get().node, "counter").get().as<Add>();
///
/// An address that a message carries is good at the other end: behind it stands a capability of 128
/// bits, drawn for that peer, which nobody guesses. What a peer may do with an actor is what
/// holders of an address may: send the messages that the actor takes, monitor, link, stop.
///
/// Threads   any; not inside an actor's turn where a future is waited for.
/// Order     messages of one sender to one actor arrive once, in the order sent, across any number
///           of connections, while both processes live.
/// Ends      a peer whose process ended, is out of reach or hangs becomes `Down` for each monitor
///           of an actor there, exactly once, after all that arrived before.
/// Hangs     a peer that answers, but has work and does none of it for `SessionOptions::hung_ns`.
/// Full      a message that the peer has no credit for waits here, in order. Streams bound theirs;
///           of others as much as `PeerQuota::waiting_bytes` may wait. One more ends the address
///           that it was sent to: what was sent there before arrives, its monitors get `Down` with
///           `overload`, and who finds the actor again may go on.
class Network final : public Service {
 public:
  Network(System& system, NetworkOptions options);
  ~Network() override;

  /// Lets others connect. @returns where: with the port that was free, for port 0.
  /// Throws `invalid_argument` for a port that is taken, a host that is none of this machine's or
  /// does not resolve; `unsupported` off this machine without certificates.
  Endpoint listen(const Endpoint& at);
  /// Connects to a peer, and goes on connecting when the connection breaks, until the peer is down.
  /// @param node  whose certificate there must be; empty: one that stands for `at.host`
  /// The future fails with why it cannot: `peer_down`, `peer_mismatch`, `timed_out`, …
  [[nodiscard]] Future<PeerUp> connect(const Endpoint& at, const std::string& node = {});
  /// Ends the conversation with a peer once it has all that was sent.
  void disconnect(const std::string& node);

  /// Sends `PeerUp` and `PeerDown` of every peer from now on, and `PeerUp` of those there are.
  void watch_peers(const Address<PeerUp, PeerDown>& watcher);

  /// Gives an actor a name by which peers find it. Throws `invalid_argument` for one that is taken.
  void publish(const std::string& name, const Address<>& actor);
  void unpublish(const std::string& name);
  /// Asks a peer for an actor that it published. `Found::reason` says why there is none.
  [[nodiscard]] Future<Found> find(const std::string& node, const std::string& name);

  /// Lets peers make actors of this kind: `make(system, arguments)`, which checks what is in the
  /// arguments, and throws what it refuses. Throws `invalid_argument` for a name that is taken.
  ///
  ///     network.offer<ReplicaArguments>("replica", [](System& system, ReplicaArguments&& a) {…});
  template <class Arguments, class Make>
  void offer(const std::string& name, Make make) {
    offer_shown(name, [make = std::move(make)](System& system, const Read& read) {
      Arguments arguments;
      read([&](FieldVisitor& visit) { arguments.fields(visit); });
      return Address<>(make(system, std::move(arguments)));
    });
  }
  /// Asks a peer to make an actor of a kind that it offers.
  template <class Arguments>
  [[nodiscard]] Future<Found> spawn(
      const std::string& node, const std::string& name, Arguments arguments) {
    return spawn_shown(node, name, [&](FieldVisitor& visit) { arguments.fields(visit); });
  }

  /// From now on messages belong to this epoch; those of an earlier one are dropped on arrival.
  void set_epoch(std::uint32_t epoch);

  [[nodiscard]] const std::string& node() const noexcept;
  [[nodiscard]] std::vector<PeerStatus> peers() const;
  /// The node at whose process an actor lives; empty for this process's own.
  [[nodiscard]] std::string node_of(const Address<>& actor) const;

  void stop() noexcept override;
  void describe_stall(std::string& report) const override;

  struct State;  ///< private to the module

 private:
  using Show = std::function<void(FieldVisitor& visit)>;
  using Read = std::function<void(const Show& fields)>;
  using Factory = std::function<Address<>(System& system, const Read& read)>;
  void offer_shown(const std::string& name, Factory factory);
  [[nodiscard]] Future<Found> spawn_shown(
      const std::string& node, const std::string& name, const Show& arguments);

  std::shared_ptr<State> state_;
};

/// Attaches the network to a system; there can be one.
Network& attach(System& system, NetworkOptions options);

}  // namespace troupe::net
