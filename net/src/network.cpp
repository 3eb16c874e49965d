#include "network_state.hpp"

#include <troupe/net/tcp.hpp>

#include <algorithm>
#include <utility>

namespace troupe::net {

namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t sweep_ns = 250'000'000;
/// A process that ends closes its connections; one that lives opens others within milliseconds.
constexpr std::int64_t orphan_ns = 200'000'000;
/// How long peers are given to hear that this process ends.
constexpr std::int64_t farewell_ns = 500'000'000;

Id128 cluster_of(const NetworkOptions& options) {
  if (options.security) return options.security->cluster();
  // FNV-1a, twice: a mistake is to be noticed, nobody is to be kept out.
  Id128 id{0xcbf29ce484222325U, 0x84222325cbf29ce4U};
  for (const char letter : options.cluster) {
    id.high = (id.high ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
    id.low = (id.low ^ static_cast<unsigned char>(letter)) * 0x100000001b3U;
  }
  return id;
}

/// A connection that was accepted, until its hello says which session it is for; then whoever
/// hears of that lane.
class Doorman final : public ConnectionEvents {
 public:
  Doorman(std::shared_ptr<Network::State> network, const std::shared_ptr<Connection>& connection)
      : network_(std::move(network)), connection_(connection) {}

  void on_connected() override {}
  void on_bytes(std::span<const std::byte> bytes) override {
    if (inside_) return inside_->on_bytes(bytes);
    const auto connection = connection_.lock();
    if (!connection) return;
    auto hello = reception_.read(bytes);
    if (!hello) {
      network_->system.log(
          LogLevel::warning,
          "somebody at " + connection->remote() + " is turned away: " + hello.error().message());
      return connection->close();
    }
    if (!hello.value()) return;
    auto events = network_->receive(*hello.value(), connection);
    if (!events) return refuse(*connection, *hello.value(), events.error());
    connection->welcome();
    inside_ = std::move(events).value();
    inside_->on_bytes({});
  }
  Room room() override { return inside_ ? inside_->room() : Room{}; }
  void on_written() override {
    if (inside_) inside_->on_written();
  }
  void on_closed(bool refused, const Error& why) override {
    if (inside_) inside_->on_closed(refused, why);
  }

 private:
  void refuse(Connection& connection, const Hello& hello, const Error& reason) {
    network_->system.log(
        LogLevel::warning,
        "node '" + hello.from.node + "' at " + connection.remote() +
            " is turned away: " + reason.message());
    auto batch = std::make_shared<WriteBatch>();
    refusal_ = encode_refusal(reason, hello.lane);
    batch->spans.emplace_back(refusal_);
    batch->bytes = refusal_.size();
    // It goes into the socket's buffer at once, or the dialer learns of a closed connection only.
    (void)connection.write(std::move(batch));
    connection.close();
  }

  std::shared_ptr<Network::State> network_;
  std::weak_ptr<Connection> connection_;
  Reception reception_;
  std::vector<std::byte> refusal_;
  std::shared_ptr<ConnectionEvents> inside_;
};

}  // namespace

// --- the state

Network::State::State(System& owner, NetworkOptions given)
    : system(owner), options(std::move(given)) {
  if (options.security && options.node.empty()) options.node = options.security->node();
  if (options.node.empty() || options.node.size() > 255)
    throw Error(
        ErrorCode::invalid_argument,
        "a node's name of " + std::to_string(options.node.size()) + " bytes; 1 to 255 may be")
        .hint("NetworkOptions::node is what peers call this process");
  if (options.security && options.node != options.security->node())
    throw Error(
        ErrorCode::invalid_argument,
        "node '" + options.node + "' with the certificate of '" + options.security->node() + "'")
        .hint("leave the name out, or 'troupe certs issue' a certificate for it");
  if (options.incarnation == 0)
    throw Error(ErrorCode::invalid_argument, "incarnations count from 1");
  self = {cluster_of(options), options.node, options.incarnation};
  if (options.session.orphan_ns == 0) options.session.orphan_ns = orphan_ns;
}

void Network::State::arm(std::int64_t at_ns) {
  if (at_ns >= armed_ns || !transport) return;
  armed_ns = at_ns;
  transport->set_alarm(at_ns);
}

void Network::State::on_alarm() {
  Peering::Garbage garbage;
  std::unique_lock lock(mutex);
  armed_ns = never;
  const std::int64_t now = now_ns();
  const bool sweeps = now >= swept_ns + sweep_ns;
  if (sweeps) swept_ns = now;
  for (const auto& peering : std::vector(peerings)) {
    peering->on_timer();
    if (sweeps) peering->sweep(garbage);
    peering->process(lock, garbage);
  }
  if (!peerings.empty()) arm(swept_ns + sweep_ns);
}

std::shared_ptr<ConnectionEvents> Network::State::on_accepted(
    const std::shared_ptr<Connection>& connection) {
  return std::make_shared<Doorman>(shared_from_this(), connection);
}

std::shared_ptr<Peering> Network::State::must_find_up(const std::string& node) const {
  for (const auto& peering : peerings)
    if (peering->up() && peering->node() == node) return peering;
  throw Error(ErrorCode::peer_down, "there is no peer '" + node + "'")
      .hint("Network::connect finds one; peers() lists those there are");
}

void Network::State::add(std::shared_ptr<Peering> peering) {
  if (stopped) throw Error(ErrorCode::stopped, "the network was stopped");
  if (peerings.size() >= options.peers_max)
    throw Error(ErrorCode::overload, std::to_string(peerings.size()) + " peers are here")
        .hint("NetworkOptions::peers_max says how many may be");
  peerings.push_back(std::move(peering));
  system.pending_outside(1);
}

Result<std::shared_ptr<ConnectionEvents>> Network::State::receive(
    const Hello& hello, const std::shared_ptr<Connection>& connection) try {
  Peering::Garbage garbage;
  std::unique_lock lock(mutex);
  if (stopped) return Error(ErrorCode::stopped, "node '" + self.node + "' ends");
  if (!connection->peer().empty() && connection->peer() != hello.from.node)
    return Error(
        ErrorCode::peer_mismatch,
        "'" + hello.from.node + "' has the certificate of '" + connection->peer() + "'");
  const auto found = std::find_if(peerings.begin(), peerings.end(), [&](const auto& peering) {
    return !peering->dialed() && peering->node() == hello.from.node;
  });
  std::shared_ptr<Peering> peering = found == peerings.end() ? nullptr : *found;
  const Admission admission =
      admit(self, hello, peering ? &peering->session() : nullptr, options.session.lanes);
  if (admission.kind == Admission::Kind::refuse) return admission.reason;
  if (admission.kind == Admission::Kind::begin) {
    if (peering) {
      peering->session().replace(hello);
      peering->process(lock, garbage);
    }
    peering = std::make_shared<Peering>(*this, hello);
    add(peering);
  }
  return peering->accept(hello, connection);
} catch (const Error& error) {
  return error;
}

void Network::State::tell_up(Peering& peering) {
  const PeerUp up{peering.node(), peering.session().peer_incarnation()};
  for (const auto& watcher : watchers) watcher.send(PeerUp(up));
  peering.tell_waiting(up);
  system.notify_waiters();
}

void Network::State::tell_down(Peering& peering, const Error& reason) {
  for (const auto& watcher : watchers)
    watcher.send(PeerDown{peering.node(), peering.session().peer_incarnation(), reason});
}

Network::Factory Network::State::factory(const std::string& name) const {
  const std::lock_guard lock(mutex);
  const auto known = factories.find(name);
  return known == factories.end() ? Factory() : known->second;
}

const MessageType* Network::State::message_type_of(MessageId id) const noexcept {
  if (const MessageType* const type = core_message(id)) return type;
  if (id == Found::id) return &message_type<Found>;
  for (const auto find : options.messages)
    if (const MessageType* const type = find(id)) return type;
  return nullptr;
}

// --- the service

Network& attach(System& system, NetworkOptions options) {
  return system.attach<Network>(system, std::move(options));
}

Network::Network(System& system, NetworkOptions options)
    : state_(std::make_shared<State>(system, std::move(options))) {
  State& s = *state_;
  const auto alarm = [weak = std::weak_ptr(state_)] {
    if (const auto state = weak.lock()) state->on_alarm();
  };
  s.transport = s.options.transport
                    ? s.options.transport(alarm)
                    : make_tcp_transport({.security = s.options.security}, system.clock(), alarm);
  if (Poller* const poller = s.transport->poller()) system.set_poller(poller);
}

Network::~Network() { stop(); }

Endpoint Network::listen(const Endpoint& at) {
  const Endpoint got = state_->transport
                           ->listen(
                               at,
                               [weak = std::weak_ptr(state_)](const auto& connection) {
                                 const auto state = weak.lock();
                                 return state ? state->on_accepted(connection) : nullptr;
                               })
                           .value();
  const std::lock_guard lock(state_->mutex);
  if (!std::exchange(state_->listening, true)) state_->system.pending_outside(1);
  return got;
}

Future<PeerUp> Network::connect(const Endpoint& at, const std::string& node) {
  State& s = *state_;
  auto future = detail::FutureState<PeerUp>::make(s.system, "peer " + to_string(at));
  const std::lock_guard lock(s.mutex);
  auto peering = std::make_shared<Peering>(s, at, node);
  s.add(peering);
  peering->await_up(future);
  peering->pump();
  return Future<PeerUp>(std::move(future));
}

void Network::disconnect(const std::string& node) {
  const std::lock_guard lock(state_->mutex);
  for (const auto& peering : state_->peerings) {
    if (peering->node() != node) continue;
    peering->session().close();
    peering->pump();
  }
}

void Network::watch_peers(const Address<PeerUp, PeerDown>& watcher) {
  const std::lock_guard lock(state_->mutex);
  for (const auto& peering : state_->peerings)
    if (peering->up()) watcher.send(PeerUp{peering->node(), peering->session().peer_incarnation()});
  state_->watchers.push_back(watcher);
}

void Network::publish(const std::string& name, const Address<>& actor) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->published.emplace(name, actor).second)
    throw Error(ErrorCode::invalid_argument, "an actor is published as '" + name + "' already");
}

void Network::unpublish(const std::string& name) {
  Address<> actor;  // let go of after the lock
  const std::lock_guard lock(state_->mutex);
  const auto known = state_->published.find(name);
  if (known == state_->published.end()) return;
  actor = std::move(known->second);
  state_->published.erase(known);
}

Future<Found> Network::find(const std::string& node, const std::string& name) {
  return state_->ask_peer(node, find_id, name, [](FieldVisitor&) {});
}

void Network::offer_shown(const std::string& name, Factory factory) {
  const std::lock_guard lock(state_->mutex);
  if (!state_->factories.emplace(name, std::move(factory)).second)
    throw Error(ErrorCode::invalid_argument, "actors called '" + name + "' are offered already");
}

Future<Found> Network::spawn_shown(
    const std::string& node, const std::string& name, const Show& arguments) {
  return state_->ask_peer(node, spawn_id, name, arguments);
}

Future<Found> Network::State::ask_peer(
    const std::string& node, MessageId id, std::string name, const Show& more) {
  auto future = detail::FutureState<Found>::make(system, "node " + node);
  Address<Found> reply_to = system.spawn<detail::Answer<Found>>(future);
  const std::lock_guard lock(mutex);
  must_find_up(node)->send({}, 0, id, [&](FieldVisitor& visit) {
    visit.field("name", name);
    visit.field("reply_to", reply_to);
    more(visit);
  });
  return Future<Found>(std::move(future));
}

void Network::set_epoch(std::uint32_t epoch) {
  const std::lock_guard lock(state_->mutex);
  for (const auto& peering : state_->peerings) peering->session().set_epoch(epoch);
  state_->epoch = epoch;
}

const std::string& Network::node() const noexcept { return state_->self.node; }

std::vector<PeerStatus> Network::peers() const {
  const std::lock_guard lock(state_->mutex);
  std::vector<PeerStatus> all;
  for (const auto& peering : state_->peerings) all.push_back(peering->status());
  return all;
}

std::string Network::node_of(const Address<>& actor) const {
  const std::lock_guard lock(state_->mutex);
  const auto known = state_->stand_ins.find(actor.cell().get());
  return known == state_->stand_ins.end() ? std::string() : known->second.peering->node();
}

void Network::stop() noexcept {
  State& s = *state_;
  Peering::Garbage garbage;
  std::map<std::string, Address<>> published;
  std::vector<Address<PeerUp, PeerDown>> watchers;
  {
    std::unique_lock lock(s.mutex);
    if (std::exchange(s.stopped, true)) return;
    for (const auto& peering : s.peerings) {
      peering->session().close();
      peering->pump();
    }
    (void)s.transport->wait(lock, s.all_over, farewell_ns, [&] { return s.peerings.empty(); });
  }
  if (s.transport->poller()) s.system.set_poller(nullptr);
  s.transport->stop();
  {
    const std::lock_guard lock(s.mutex);
    for (const auto& peering : std::vector(s.peerings))
      peering->finish({Error(ErrorCode::stopped, "the network was stopped"), 0}, garbage);
    published = std::exchange(s.published, {});
    watchers = std::exchange(s.watchers, {});
    s.factories.clear();
    if (std::exchange(s.listening, false)) s.system.pending_outside(-1);
  }
  garbage.clear();
  s.transport.reset();
}

void Network::describe_stall(std::string& report) const {
  const std::unique_lock lock(state_->mutex, std::try_to_lock);
  if (!lock) return;
  for (const auto& peering : state_->peerings) {
    const PeerStatus status = peering->status();
    report += "\n  peer '" + status.node + "' at " + status.remote + ": " +
              (status.up ? "up" : "not yet up") + ", " + std::to_string(status.waiting_messages) +
              " messages wait for its credit";
  }
}

}  // namespace troupe::net
