#pragma once

#include "peering.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/core/random.hpp>

#include <condition_variable>
#include <limits>

namespace troupe::net {

/// What the network's parts share. Held by whatever may call later than the network lives.
struct Network::State final : std::enable_shared_from_this<Network::State> {
  State(System& owner, NetworkOptions given);

  [[nodiscard]] std::int64_t now_ns() const { return system.clock().now_ns(); }
  /// Wakes the transport no later than the next that is due; called when that may have changed.
  void arm(std::int64_t at_ns);
  void on_alarm();
  std::shared_ptr<ConnectionEvents> on_accepted(const std::shared_ptr<Connection>& connection);
  [[nodiscard]] std::shared_ptr<Peering> must_find_up(const std::string& node) const;
  /// Who hears of a connection that said this hello; or why it is not welcome.
  [[nodiscard]] Result<std::shared_ptr<ConnectionEvents>> receive(
      const Hello& hello, const std::shared_ptr<Connection>& connection);
  void add(std::shared_ptr<Peering> peering);
  [[nodiscard]] Future<Found> ask_peer(
      const std::string& node, MessageId id, std::string name, const Show& more);
  void tell_up(Peering& peering);
  void tell_down(Peering& peering, const Error& reason);
  /// Empty for a name that no factory has.
  [[nodiscard]] Factory factory(const std::string& name) const;
  [[nodiscard]] const MessageType* message_type_of(MessageId id) const noexcept;

  System& system;
  NetworkOptions options;
  Identity self;
  std::unique_ptr<Transport> transport;

  mutable std::mutex mutex;
  std::condition_variable all_over;
  bool stopped = false;
  bool listening = false;
  std::int64_t armed_ns = std::numeric_limits<std::int64_t>::max();
  std::int64_t swept_ns = 0;
  std::vector<std::shared_ptr<Peering>> peerings;  // whose sessions go on
  struct StandInOf {
    const Peering* peering = nullptr;
    Capability capability;
  };
  std::unordered_map<const ActorCell*, StandInOf> stand_ins;
  std::map<std::string, Address<>> published;
  std::map<std::string, Factory> factories;
  std::vector<Address<PeerUp, PeerDown>> watchers;
  std::uint32_t epoch = 0;
};

}  // namespace troupe::net
