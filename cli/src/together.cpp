#include "together.hpp"

#ifdef TROUPE_NET
#include "join_network.hpp"
#include "replica.hpp"

#include <troupe/cluster/leader.hpp>
#include <troupe/cluster/rendezvous.hpp>
#include <troupe/io/tree.hpp>
#include <troupe/net/endpoint.hpp>

#include <algorithm>
#include <cstdio>
#include <utility>
#include <vector>
#else
#include <cstdlib>
#endif

namespace troupe::cli {

#ifdef TROUPE_NET
namespace {

cluster::OnLoss on_loss_of(const std::string& word) {
  if (word == "wait") return cluster::OnLoss::wait;
  return word == "stop" ? cluster::OnLoss::stop : cluster::OnLoss::go_on;
}

cluster::RunTerms terms_of(const Together::Parts& parts, const Device& device, std::uint64_t run) {
  const io::Tree what = Replica::describe(parts.config, *parts.dataset);
  return {run, parts.term, io::to_json(what), numeric_profile(device)};
}

}  // namespace

struct Together::State {
  State(
      const TrainOptions& options,
      Session& session,
      Console& console,
      Parts parts,
      std::uint64_t run)
      : samples_per_step(static_cast<double>(parts.config.batch_size * parts.config.accumulate)),
        network(join_network(session.system(), options.cluster, "leader")),
        replica(
            {.config = parts.config,
             .dataset = parts.dataset,
             .device = &session.device(),
             .task = parts.task,
             .options = parts.options,
             .stop = parts.stop,
             .tests = true}),
        leader(
            session.system(),
            network,
            leader_options(options, session.system(), network, console, parts),
            terms_of(parts, session.device(), run)) {}

  static cluster::LeaderOptions leader_options(
      const TrainOptions& options,
      System& system,
      net::Network& network,
      Console& console,
      const Parts& parts) {
    cluster::LeaderOptions leader{
        .followers = {},
        .shards = static_cast<std::uint32_t>(parts.config.shards),
        .on_loss = on_loss_of(options.on_loss),
        .join_ns = static_cast<std::int64_t>(options.join_seconds * 1e9),
        .stop = parts.stop,
        .say = [&console](const std::string& line) { console.say(line); }};
    for (const std::string& peer : options.peers)
      leader.followers.push_back(net::parse_endpoint(peer).value());
    if (!options.launch) return leader;
    network.listen(net::parse_endpoint(options.launch->master).value());
    cluster::Rendezvous rendezvous(system, network, options.launch->world);
    leader.followers = rendezvous.gather(leader.join_ns);
    return leader;
  }

  double samples_per_step;
  std::int64_t waited_ns = 0;
  net::Network& network;
  Replica replica;
  cluster::Leader leader;
};

Together::Together(
    const TrainOptions& options, Session& session, Console& console, Parts parts, std::uint64_t run)
    : state_(std::make_unique<State>(options, session, console, std::move(parts), run)) {
  state_->leader.gather();
}

Together::~Together() = default;

nn::Trainer& Together::trainer() noexcept { return state_->replica.trainer(); }

bool Together::fit() { return state_->leader.lead(state_->replica); }

std::size_t Together::peers() const { return state_->leader.followers().size(); }

double Together::waited() {
  const std::int64_t now = state_->leader.waited_ns();
  return static_cast<double>(now - std::exchange(state_->waited_ns, now)) * 1e-9;
}

std::string Together::report(std::size_t width) const {
  const std::vector<net::PeerStatus> peers = state_->network.peers();
  std::string text;
  for (const cluster::FollowerStatus& follower : state_->leader.followers()) {
    std::string line = "  " + (follower.node.empty() ? net::to_string(follower.at) : follower.node);
    const auto peer = std::find_if(peers.begin(), peers.end(), [&](const net::PeerStatus& one) {
      return one.up && one.node == follower.node;
    });
    if (!follower.joined || peer == peers.end()) {
      line += "  away: " + (follower.reason.empty() ? "no answer yet" : follower.reason);
    } else {
      char numbers[160];
      // What it could do if it waited for nobody.
      if (follower.own_ns > 0) {
        std::snprintf(
            numbers,
            sizeof numbers,
            "  %.0f samples/s",
            state_->samples_per_step * follower.shards / follower.of_shards /
                (static_cast<double>(follower.own_ns) * 1e-9));
        line += numbers;
      }
      if (follower.slow) {
        std::snprintf(numbers, sizeof numbers, ", takes %.2f times as long", follower.times);
        line += numbers;
      }
      std::snprintf(
          numbers,
          sizeof numbers,
          "  %.2f ms  %.1f MB out  %.1f MB in  credit %.0f MB%s",
          static_cast<double>(peer->round_trip_ns) * 1e-6,
          static_cast<double>(peer->bytes_sent) * 1e-6,
          static_cast<double>(peer->bytes_received) * 1e-6,
          static_cast<double>(peer->credit_bytes) * 1e-6,
          peer->waiting_messages > 0 ? "  waits for credit" : "");
      line += numbers;
    }
    // A line that wraps is two, and the next drawing would begin in the wrong place.
    text += "\n" + line.substr(0, width > 0 ? width - 1 : 0);
  }
  return text;
}
#else
struct Together::State {};

Together::Together(const TrainOptions&, Session&, Console&, Parts, std::uint64_t) {
  throw Error(ErrorCode::unsupported, "this build of troupe does not talk to other machines")
      .hint("build it with -DTROUPE_NET=ON, or leave out --peers");
}
Together::~Together() = default;
nn::Trainer& Together::trainer() noexcept { std::abort(); }
bool Together::fit() { return false; }
std::size_t Together::peers() const { return 0; }
double Together::waited() { return 0; }
std::string Together::report(std::size_t) const { return {}; }
#endif

}  // namespace troupe::cli
