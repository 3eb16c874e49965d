#include "fleet.hpp"

#include <troupe/cluster/rendezvous.hpp>
#include <troupe/core/clock.hpp>

#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace troupe::cluster {

struct Rendezvous::State {
  struct Arrived {
    std::string node;
    net::Endpoint at;
  };
  std::mutex mutex;
  std::vector<std::optional<Arrived>> ranks;  // from 0 on, which stays empty

  [[nodiscard]] std::string missing() {
    const std::lock_guard lock(mutex);
    std::string text;
    for (std::size_t rank = 1; rank < ranks.size(); ++rank)
      if (!ranks[rank]) text += (text.empty() ? "" : ", ") + std::to_string(rank);
    return text;
  }
};

/// Takes what processes say of themselves.
class Usher final : public Actor<Announce> {
 public:
  static constexpr std::string_view name = "cluster.rendezvous";
  Usher(std::shared_ptr<Rendezvous::State> state, net::Network& network)
      : state_(std::move(state)), network_(network) {}

 private:
  friend ActorAccess;

  void on(Announce&& who) {
    Announced answer;
    try {
      seat(who);
    } catch (const Error& error) {
      answer.refused = true;
      answer.reason = error;
    }
    who.reply_to.send(std::move(answer));
    system().notify_waiters();
  }
  void seat(const Announce& who) {
    const std::lock_guard lock(state_->mutex);
    const std::size_t world = state_->ranks.size();
    if (who.world != world)
      throw Error(
          ErrorCode::invalid_argument,
          "WORLD_SIZE is " + std::to_string(who.world) + " at rank " + std::to_string(who.rank) +
              ", and " + std::to_string(world) + " at rank 0")
          .hint("start all processes with the same WORLD_SIZE");
    if (who.rank == 0 || who.rank >= world)
      throw Error(
          ErrorCode::invalid_argument,
          "rank " + std::to_string(who.rank) + " of a world of " + std::to_string(world))
          .hint("ranks go from 0 to WORLD_SIZE - 1, each once");
    auto& place = state_->ranks[who.rank];
    if (place && place->node != who.node)
      throw Error(
          ErrorCode::invalid_argument,
          "rank " + std::to_string(who.rank) + " is '" + place->node + "' already")
          .hint("give each process a RANK of its own");
    for (const net::PeerStatus& peer : network_.peers()) {
      if (peer.node != who.node || !peer.up) continue;
      // The host as it is seen from here; the port is what it said.
      net::Endpoint at = net::parse_endpoint(peer.remote).value();
      at.port = who.port;
      place = Rendezvous::State::Arrived{who.node, std::move(at)};
      return;
    }
    throw Error(ErrorCode::peer_down, "node '" + who.node + "' is not connected any more");
  }

  std::shared_ptr<Rendezvous::State> state_;
  net::Network& network_;
};

Rendezvous::Rendezvous(System& system, net::Network& network, std::uint32_t world)
    : system_(system), network_(network), state_(std::make_shared<State>()) {
  state_->ranks.resize(world);
  network.publish(
      std::string(rendezvous_name),
      system.spawn_named<Usher>("cluster.rendezvous", state_, network));
}

Rendezvous::~Rendezvous() { network_.unpublish(std::string(rendezvous_name)); }

std::vector<net::Endpoint> Rendezvous::gather(std::int64_t timeout_ns) {
  const bool all = wait_for(
      system_, [this] { return state_->missing().empty(); }, timeout_ns, "the other ranks");
  if (!all)
    throw Error(
        ErrorCode::timed_out,
        "after " + std::to_string(timeout_ns / 1'000'000'000) + " s these ranks of a world of " +
            std::to_string(state_->ranks.size()) + " are missing: " + state_->missing())
        .hint("start them with the same WORLD_SIZE, MASTER_ADDR and MASTER_PORT");
  const std::lock_guard lock(state_->mutex);
  std::vector<net::Endpoint> endpoints;
  for (std::size_t rank = 1; rank < state_->ranks.size(); ++rank)
    endpoints.push_back(state_->ranks[rank]->at);
  return endpoints;
}

void announce(
    System& system,
    net::Network& network,
    const net::Endpoint& master,
    std::uint32_t rank,
    std::uint32_t world,
    std::uint16_t port,
    std::int64_t timeout_ns) {
  const std::int64_t until_ns = system.clock().now_ns() + timeout_ns;
  const auto answer_of = [&]<class Reply>(Future<Reply> future) {
    const auto ready = [&] { return future.ready(); };
    if (!wait_for(system, ready, until_ns - system.clock().now_ns(), "rank 0"))
      throw Error(ErrorCode::timed_out, "it does not answer");
    return std::move(future.get());
  };
  for (;;) {
    try {
      const std::string leader = answer_of(network.connect(master)).node;
      const net::Found found = answer_of(network.find(leader, std::string(rendezvous_name)));
      const Announced answer =
          answer_of(ask<Announced>(found.as<Announce>(), [&](Address<Announced> to) {
            return Announce{network.node(), rank, world, port, std::move(to)};
          }));
      if (answer.refused) throw answer.reason;
      return;
    } catch (const Error& error) {
      // It may be there later; who is refused is not welcome then either.
      const bool later = error.code() == ErrorCode::timed_out ||
                         error.code() == ErrorCode::peer_down ||
                         error.code() == ErrorCode::peer_hung;
      if (!later) throw;
      if (system.clock().now_ns() >= until_ns)
        throw Error(
            ErrorCode::timed_out,
            "rank 0 is not at " + net::to_string(master) + ": " + error.message())
            .hint("start it with the same MASTER_ADDR and MASTER_PORT");
    }
  }
}

}  // namespace troupe::cluster
