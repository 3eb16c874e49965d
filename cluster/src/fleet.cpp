#include "fleet.hpp"

#include "device_messages.hpp"

#include <troupe/cluster/messages.hpp>
#include <troupe/core/clock.hpp>
#include <troupe/core/completion.hpp>

#include <atomic>
#include <utility>

namespace troupe::cluster {

namespace {

/// Wakes whoever waits, once.
class Alarm final : public Actor<Completed> {
 public:
  static constexpr std::string_view name = "cluster.alarm";
  explicit Alarm(std::shared_ptr<std::atomic<bool>> rung) : rung_(std::move(rung)) {}

 private:
  friend ActorAccess;
  void on(const Completed&) { *rung_ = true; }
  std::shared_ptr<std::atomic<bool>> rung_;
};

constexpr int term_bits = 16;

/// Of a view's group. Two leaders may count views alike, so the term tells their groups apart.
std::uint64_t group_epoch(const Enter& enter) {
  return (2 * std::uint64_t{enter.epoch} << term_bits) + enter.term % (1U << term_bits);
}
/// A process's own group before the view of this epoch, whoever leads it.
std::uint64_t own_epoch(std::uint32_t view_epoch) {
  return (2 * std::uint64_t{view_epoch} - 1) << term_bits;
}

}  // namespace

const MessageType* find_message(MessageId id) noexcept {
  if (const MessageType* const type = FleetMessages::find(id)) return type;
  if (const MessageType* const type = DeviceMessages::find(id)) return type;
  return CollectiveMessages::find(id);
}

bool is_of_the_view(ErrorCode code) noexcept {
  return code == ErrorCode::peer_down || code == ErrorCode::peer_hung ||
         code == ErrorCode::fenced || code == ErrorCode::stopped ||
         code == ErrorCode::peer_restarted || code == ErrorCode::actor_down;
}

bool wait_for(
    System& system,
    const std::function<bool()>& done,
    std::int64_t timeout_ns,
    std::string_view what) {
  const auto rung = std::make_shared<std::atomic<bool>>(false);
  const std::uint64_t timer = system.after(timeout_ns, system.spawn<Alarm>(rung), Completed{});
  system.wait_until([&] { return *rung || done(); }, what);
  system.cancel(timer);
  return done();
}

bool is_up(const net::Network& network, const std::string& node) {
  for (const net::PeerStatus& peer : network.peers())
    if (peer.up && peer.node == node) return true;
  return false;
}

Group assemble(
    System& system,
    net::Network& network,
    const Enter& enter,
    const Mesh& mesh,
    const std::function<bool()>& over) {
  const auto check = [&] {
    if (over()) throw Error(ErrorCode::fenced, "the view is over");
  };
  const auto answer_of = [&](auto future, std::string_view what) {
    system.wait_until([&] { return future.ready() || over(); }, what);
    check();
    return std::move(future.get());
  };
  const auto dial = [&](const Enter::Member& member) {
    try {
      (void)answer_of(
          network.connect({member.host, member.port}, member.node), "a connection to a peer");
    } catch (const Error& error) {
      if (error.code() != ErrorCode::peer_mismatch) throw;
      // Who was started again has another name: the member that the view knows is no more.
      throw Error(ErrorCode::peer_restarted, error.message()).hint(error.hint());
    }
  };
  Group group;
  group.epoch = group_epoch(enter);
  group.rank = enter.rank;
  for (std::uint32_t rank = 0; rank < enter.members.size(); ++rank) {
    const Enter::Member& member = enter.members[rank];
    if (rank == enter.rank) {
      group.members.push_back({network.node(), mesh.collectives.address()});
      continue;
    }
    if (!is_up(network, member.node)) {
      // The lower rank dials; the leader has dialed all.
      if (enter.rank < rank && member.port != 0)
        dial(member);
      else if (!wait_for(
                   system,
                   [&] { return is_up(network, member.node) || over(); },
                   assemble_timeout_ns,
                   "a connection of " + member.node))
        throw Error(
            ErrorCode::timed_out,
            "node '" + member.node + "' does not connect to '" + network.node() + "'")
            .hint(
                "each process must be able to reach each other at the address given to the leader");
    }
    check();
    const net::Found found =
        answer_of(network.find(member.node, std::string(mesh_name)), "a peer's end of the mesh");
    group.members.push_back({member.node, found.as<MeshPiece, MeshTaken, MeshAbort>()});
  }
  return group;
}

void leave(Mesh& mesh, std::uint32_t next_epoch, const std::string& node) {
  const std::lock_guard lock(mesh.mutex);
  Group alone;
  alone.epoch = own_epoch(next_epoch);
  alone.members.push_back({node, mesh.collectives.address()});
  mesh.collectives.enter(std::move(alone));
}

View make_view(
    const Enter& enter,
    std::shared_ptr<MeshExchanger> exchanger,
    Bytes state,
    std::stop_token stop) {
  const auto ranks = static_cast<std::uint32_t>(enter.members.size());
  const nn::ShardRange mine = shards_of(enter.rank, ranks, enter.shards);
  View view;
  view.epoch = enter.epoch;
  view.rank = enter.rank;
  for (const Enter::Member& member : enter.members) view.nodes.push_back(member.node);
  view.shards = {.of = enter.shards, .first = mine.begin, .count = mine.size()};
  if (ranks > 1) view.shard_sum = make_shard_sum(std::move(exchanger), view.shards, bucket_bytes);
  view.state = std::move(state);
  view.stop = std::move(stop);
  return view;
}

}  // namespace troupe::cluster
