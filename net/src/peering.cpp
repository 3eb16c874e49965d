#include "peering.hpp"

#include "network_state.hpp"

#include <algorithm>
#include <utility>

namespace troupe::net {

/// The addresses in messages to and from one peer. Called behind the lock when a message is
/// written, without it when one is read.
class Peering::Book final : public AddressBook {
 public:
  Book(Peering& peering, bool locked) : peering_(peering), locked_(locked) {}

  WireAddress write(const Ref<ActorCell>& actor) override {
    using Owner = WireAddress::Owner;
    if (const auto theirs = peering_.imported(actor.get())) return {Owner::receiver, *theirs};
    return {Owner::sender, peering_.export_actor(actor)};
  }
  Ref<ActorCell> read(const WireAddress& address) override {
    std::unique_lock lock(peering_.network_.mutex, std::defer_lock);
    if (!locked_) lock.lock();
    if (address.owner == WireAddress::Owner::sender)
      return peering_.import(address.capability).cell();
    Ref<ActorCell> actor = peering_.exported(address.capability);
    if (!actor) throw Error(ErrorCode::wire_corrupt, "the address of an actor that was not given");
    return actor;
  }

 private:
  Peering& peering_;
  bool locked_;
};

/// Hears of a lane's connection until another takes its place.
class Peering::LaneEvents final : public ConnectionEvents {
 public:
  LaneEvents(std::shared_ptr<Network::State> network, std::weak_ptr<Peering> peering, unsigned lane)
      : network_(std::move(network)), peering_(std::move(peering)), lane_(lane) {}

  void set_connection(const Connection* connection) noexcept { connection_ = connection; }

  void on_connected() override {
    act([this](Peering& peering) { peering.on_connected(lane_, connection_); });
  }
  void on_bytes(std::span<const std::byte> bytes) override {
    act([&](Peering& peering) { peering.on_bytes(lane_, connection_, bytes); });
  }
  Room room() override {
    const auto peering = peering_.lock();
    if (!peering) return {};
    const std::lock_guard lock(network_->mutex);
    return peering->room(lane_, connection_);
  }
  void on_written() override {
    act([this](Peering& peering) { peering.on_written(lane_, connection_); });
  }
  void on_closed(bool refused, const Error& why) override {
    act([&](Peering& peering) { peering.on_closed(lane_, connection_, refused, why); });
  }

 private:
  template <class Act>
  void act(Act&& what) {
    const auto peering = peering_.lock();
    if (!peering) return;
    Garbage garbage;
    std::unique_lock lock(network_->mutex);
    if (network_->stopped && peering->over()) return;
    what(*peering);
    peering->process(lock, garbage);
  }

  std::shared_ptr<Network::State> network_;
  std::weak_ptr<Peering> peering_;
  unsigned lane_;
  const Connection* connection_ = nullptr;
};

Peering::Peering(Network::State& network, const Endpoint& at, const std::string& node)
    : network_(network),
      at_(at),
      session_(std::make_unique<Session>(
          network.options.session, network.self, node, network.system.random(), network.now_ns())),
      lanes_(session_->lanes()),
      remote_(to_string(at)) {
  begin();
}

Peering::Peering(Network::State& network, const Hello& hello)
    : network_(network),
      session_(std::make_unique<Session>(
          network.options.session, network.self, hello, network.system.random(), network.now_ns())),
      lanes_(session_->lanes()) {
  begin();
}

Peering::~Peering() = default;

void Peering::begin() {
  session_->set_epoch(network_.epoch);
  session_->set_progress([&system = network_.system] { return system.progress(); });
}

// --- sending

unsigned Peering::lane_of(const Capability& capability) const {
  // Lane 0 is for what must not wait behind tensors. All messages to one actor take one lane.
  const auto bulk = static_cast<unsigned>(lanes_.size()) - 1;
  return bulk == 0 || capability == Capability{}
             ? 0
             : 1 + static_cast<unsigned>(capability.high % bulk);
}

void Peering::send(
    const Capability& to, unsigned lane, MessageId id, const Shown& message, bool bounded) {
  if (over_) throw *over_;
  Book book(*this, true);
  Encoded encoded = encode_message(id, message, book);
  Lane& l = lanes_.at(lane);
  const std::uint64_t bytes = encoded.meta.size() + encoded.payload.size();
  FrameHeader header;
  header.meta_length = static_cast<std::uint32_t>(encoded.meta.size());
  header.payload_length = static_cast<std::uint32_t>(encoded.payload.size());
  if (frame_bytes(header) > session_->message_bytes_max())
    throw Error(
        ErrorCode::unsupported,
        "a message of " + std::to_string(frame_bytes(header)) + " bytes; peer '" + node() +
            "' takes " + std::to_string(session_->message_bytes_max()) + " at most")
        .hint("send it in pieces, or let the peer have more SessionOptions::credit_bytes");
  // With its frame, so that many small ones count for what they take.
  const std::uint64_t counted = bounded ? 0 : frame_bytes(header);
  if (counted > 0 && counted_ > 0 && counted_ + counted > network_.options.quota.waiting_bytes)
    throw Error(
        ErrorCode::overload,
        std::to_string(counted_ >> 20) + " MiB wait already until peer '" + node() + "' takes more")
        .hint("send on a stream, which waits for credit; or let PeerQuota::waiting_bytes be more");
  ++messages_sent_;
  bytes_sent_ += bytes;
  l.waiting_bytes += bytes;
  counted_ += counted;
  l.waiting.push_back({to, std::move(encoded), counted});
  offer_waiting(lane);
  pump();
}

void Peering::offer_waiting(unsigned lane) {
  Lane& l = lanes_[lane];
  while (!l.full && !l.waiting.empty()) {
    const Lane::Message& next = l.waiting.front();
    const auto taken =
        session_->offer(lane, next.to, next.encoded.meta.span(), next.encoded.payload);
    if (!taken) return;  // the session is over: `Over` says why
    l.full = !taken.value();
    if (l.full) return;
    l.waiting_bytes -= next.encoded.meta.size() + next.encoded.payload.size();
    counted_ -= next.counted;
    l.waiting.pop_front();
  }
}

void Peering::pump() {
  const std::int64_t now_ns = network_.now_ns();
  for (unsigned lane = 0; lane < lanes_.size(); ++lane) {
    Lane& l = lanes_[lane];
    switch (session_->wish(lane, now_ns)) {
      case Session::Wish::none:
        break;
      case Session::Wish::close:
        if (l.connection) l.connection->close();
        l.connection.reset();
        l.batch.reset();
        // There may be another wish behind it.
        if (session_->wish(lane, now_ns) == Session::Wish::connect) dial(lane);
        break;
      case Session::Wish::connect:
        dial(lane);
        break;
    }
    while (l.connection && !l.batch) {
      l.batch = session_->next_write(lane, now_ns);
      if (!l.batch || !l.connection->write(l.batch)) break;
      l.batch.reset();
      session_->on_written(lane);
    }
  }
  network_.arm(session_->next_timer_ns());
}

void Peering::dial(unsigned lane) {
  auto events = std::make_shared<LaneEvents>(network_.shared_from_this(), weak_from_this(), lane);
  // A session knows its peer after the first answer; later connections must be that node's.
  lanes_[lane].connection = network_.transport->dial(*at_, session_->peer(), events);
  lanes_[lane].batch.reset();
  events->set_connection(lanes_[lane].connection.get());
}

// --- whose addresses each side has

Capability Peering::export_actor(const Ref<ActorCell>& actor) {
  if (const auto known = export_of_.find(actor.get()); known != export_of_.end()) {
    ++exports_[known->second].count;
    return known->second;
  }
  if (exports_.size() >= network_.options.quota.actors)
    throw Error(
        ErrorCode::overload,
        "peer '" + node() + "' has the addresses of " + std::to_string(exports_.size()) +
            " actors of this process")
        .hint("PeerQuota::actors says how many it may have");
  Random& random = network_.system.random();
  Capability capability;
  do {
    capability = {random.next(), random.next()};
  } while (capability == Capability{} || exports_.contains(capability));
  exports_[capability] = {actor, 1, false};
  export_of_[actor.get()] = capability;
  return capability;
}

Ref<ActorCell> Peering::exported(const Capability& capability) const {
  const auto known = exports_.find(capability);
  return known == exports_.end() ? Ref<ActorCell>() : known->second.actor;
}

Address<> Peering::import(const Capability& capability) {
  if (over_) throw *over_;
  if (const auto known = imports_.find(capability); known != imports_.end()) {
    if (const auto route = known->second.route.lock()) {
      ++route->count;
      return Address<>(known->second.stand_in);
    }
    // It ended, though somebody may hold it still: who asks again gets another.
    network_.stand_ins.erase(known->second.stand_in.get());
    ended_.push_back(std::move(known->second.stand_in));
    imports_.erase(known);
  }
  if (imports_.size() >= network_.options.quota.actors) {
    session_->abort(Error(
        ErrorCode::overload,
        "peer '" + node() + "' sent the addresses of " + std::to_string(imports_.size()) +
            " actors, all still in use"));
    throw Error(ErrorCode::overload, "too many addresses");
  }
  const auto route =
      std::make_shared<PeerRoute>(network_.shared_from_this(), shared_from_this(), capability);
  route->count = 1;
  const Address<> stand_in = remote_address<>(network_.system, route);
  imports_[capability] = {stand_in.cell(), route};
  network_.stand_ins[stand_in.cell().get()] = {this, capability};
  return stand_in;
}

std::optional<Capability> Peering::imported(const ActorCell* stand_in) const {
  const auto known = network_.stand_ins.find(stand_in);
  if (known == network_.stand_ins.end() || known->second.peering != this) return std::nullopt;
  return known->second.capability;
}

void Peering::route_gone(const Capability& capability, std::uint64_t count) {
  if (over_ || network_.stopped) return;
  Release release{capability, count};
  send(
      {},
      lane_of(capability),
      Release::id,
      [&](FieldVisitor& visit) { release.fields(visit); },
      true);
}

void Peering::sweep(Garbage& garbage) {
  for (Ref<ActorCell>& stand_in : ended_) garbage.push_back(std::move(stand_in));
  ended_.clear();
  for (auto import = imports_.begin(); import != imports_.end();) {
    if (!import->second.stand_in->only_one()) {
      ++import;
      continue;
    }
    network_.stand_ins.erase(import->second.stand_in.get());
    garbage.push_back(std::move(import->second.stand_in));
    import = imports_.erase(import);
  }
}

// --- what the transport tells

std::shared_ptr<ConnectionEvents> Peering::accept(
    const Hello& hello, const std::shared_ptr<Connection>& connection) {
  Lane& l = lanes_.at(hello.lane);
  if (l.connection) l.connection->close();
  l.connection = connection;
  l.batch.reset();
  remote_ = connection->remote();
  session_->on_accepted(hello, network_.now_ns());
  auto events =
      std::make_shared<LaneEvents>(network_.shared_from_this(), weak_from_this(), hello.lane);
  events->set_connection(connection.get());
  return events;
}

void Peering::on_connected(unsigned lane, const Connection* connection) {
  if (lanes_[lane].connection.get() != connection) return;
  session_->on_connected(lane, connection->peer(), network_.now_ns());
}

void Peering::on_bytes(
    unsigned lane, const Connection* connection, std::span<const std::byte> bytes) {
  if (bytes.empty() || lanes_[lane].connection.get() != connection) return;
  session_->on_bytes(lane, bytes, network_.now_ns());
}

Room Peering::room(unsigned lane, const Connection* connection) const {
  if (over_ || lanes_[lane].connection.get() != connection) return {};
  return session_->room(lane);
}

void Peering::on_written(unsigned lane, const Connection* connection) {
  if (lanes_[lane].connection.get() != connection) return;
  lanes_[lane].batch.reset();
  session_->on_written(lane);
}

void Peering::on_closed(
    unsigned lane, const Connection* connection, bool refused, const Error& why) {
  if (lanes_[lane].connection.get() != connection) return;
  lanes_[lane].connection.reset();
  lanes_[lane].batch.reset();
  last_closed_ = why;
  // Nothing that another try could mend: who it is, a name that means nothing, no certificates.
  const bool hopeless =
      !up_ && (why.code() == ErrorCode::peer_mismatch || why.code() == ErrorCode::unsupported);
  if (hopeless) return session_->abort(why);
  session_->on_closed(lane, refused, network_.now_ns());
}

void Peering::on_timer() { session_->on_timer(network_.now_ns()); }

void Peering::process(std::unique_lock<std::mutex>& lock, Garbage& garbage) {
  while (!over_) {
    auto event = session_->next_event(network_.now_ns());
    if (!event) break;
    if (const auto* delivery = std::get_if<Delivery>(&*event)) {
      take(lock, *delivery, garbage);
      session_->release(delivery->lane, delivery->frame_bytes, network_.now_ns());
    } else if (std::holds_alternative<Opened>(*event)) {
      up_ = true;
      network_.tell_up(*this);
    } else if (const auto* came = std::get_if<CreditCame>(&*event)) {
      lanes_[came->lane].full = false;
      offer_waiting(came->lane);
    } else if (const auto* over = std::get_if<Over>(&*event)) {
      finish(*over, garbage);
    }
  }
  if (!over_) pump();
}

void Peering::finish(const Over& over, Garbage& garbage) {
  Error reason = over.reason;
  if (!up_ && reason.code() == ErrorCode::timed_out && last_closed_)
    reason = Error(reason.code(), reason.message() + "; the last try: " + last_closed_->message())
                 .hint(last_closed_->hint().empty() ? reason.hint() : last_closed_->hint());
  if (!up_ && !network_.options.security && reason.code() == ErrorCode::timed_out)
    reason.hint("check that it listens there, and whether it asks for a certificate");
  over_ = reason;
  for (Lane& lane : lanes_) {
    if (lane.connection) lane.connection->close();
    lane = Lane();
  }
  for (auto& [capability, import] : imports_) {
    end_remote(*import.stand_in, reason);
    network_.stand_ins.erase(import.stand_in.get());
    garbage.push_back(std::move(import.stand_in));
  }
  imports_.clear();
  for (auto& [capability, one] : exports_) garbage.push_back(std::move(one.actor));
  exports_.clear();
  export_of_.clear();
  for (const auto& future : std::exchange(awaits_up_, {})) future->fail(reason);
  if (std::exchange(up_, false)) network_.tell_down(*this, reason);
  std::erase_if(network_.peerings, [this](const auto& one) { return one.get() == this; });
  network_.system.pending_outside(-1);
  network_.all_over.notify_all();
  network_.system.notify_waiters();
}

void Peering::await_up(Ref<detail::FutureState<PeerUp>> future) {
  awaits_up_.push_back(std::move(future));
}

void Peering::tell_waiting(const PeerUp& up) {
  for (const auto& future : std::exchange(awaits_up_, {})) future->answer(PeerUp(up));
}

// --- what the peer sent

void Peering::take(std::unique_lock<std::mutex>& lock, const Delivery& delivery, Garbage& garbage) {
  ++messages_received_;
  bytes_received_ += delivery.meta.size() + delivery.payload.size();
  try {
    const MessageId id = message_id(delivery.meta.span());
    if (delivery.destination == Capability{})
      take_for_network(lock, delivery, id, garbage);
    else
      deliver(delivery, id);
  } catch (const std::exception& error) {
    refused(error.what());
  }
}

void Peering::deliver(const Delivery& delivery, MessageId id) {
  const Ref<ActorCell> to = exported(delivery.destination);
  // It may have been given back while this was under way; nobody can tell that from a guess.
  if (!to) return refused("a message to nobody");
  const MessageType* const type = network_.message_type_of(id);
  const bool fits = type && type->read && (type->control || to->actor_class().accepts(*type));
  if (!fits)
    return refused(
        "message " + (type ? std::string(type->name) : std::to_string(static_cast<unsigned>(id))) +
        ", which '" + std::string(to->name()) + "' does not take");
  Book book(*this, true);
  Message* message = nullptr;
  try {
    decode_message(delivery.meta.span(), delivery.payload, book, [&](FieldVisitor& visit) {
      message = type->read(*to, visit);
    });
  } catch (...) {
    if (message) to->discard(*message);
    throw;
  }
  to->deliver(*message);
}

void Peering::take_for_network(
    std::unique_lock<std::mutex>& lock, const Delivery& delivery, MessageId id, Garbage& garbage) {
  Book book(*this, true);
  if (id == Release::id) {
    Release release;
    decode_message(delivery.meta.span(), delivery.payload, book, [&](FieldVisitor& visit) {
      release.fields(visit);
    });
    const auto known = exports_.find(release.capability);
    if (known == exports_.end() || release.count > known->second.count)
      throw Error(ErrorCode::wire_corrupt, "an address was given back that was not given");
    known->second.count -= release.count;
    if (known->second.count > 0) return;
    if (known->second.spawned) --spawned_;
    export_of_.erase(known->second.actor.get());
    garbage.push_back(std::move(known->second.actor));
    exports_.erase(known);
    return;
  }
  if (id != find_id && id != spawn_id)
    throw Error(
        ErrorCode::wire_corrupt,
        "the network does not take message " + std::to_string(static_cast<unsigned>(id)));
  std::string name;
  Address<Found> reply_to;
  if (id == find_id) {
    decode_message(delivery.meta.span(), delivery.payload, book, [&](FieldVisitor& visit) {
      visit.field("name", name);
      visit.field("reply_to", reply_to);
    });
    const auto known = network_.published.find(name);
    if (known != network_.published.end()) return reply_to.send(Found{known->second, {}});
    return reply_to.send(Found{
        {},
        Error(
            ErrorCode::invalid_argument,
            "node '" + network_.self.node + "' has no actor called '" + name + "'")
            .hint("Network::publish gives an actor a name")});
  }
  std::optional<Error> why;
  Address<> actor;
  if (spawned_ >= network_.options.quota.spawned)
    why = Error(
        ErrorCode::overload,
        std::to_string(spawned_) + " actors that '" + node() + "' had made are alive");
  // What makes the actor is somebody else's code: not behind the lock.
  lock.unlock();
  Book unlocked(*this, false);
  try {
    decode_message(delivery.meta.span(), delivery.payload, unlocked, [&](FieldVisitor& visit) {
      visit.field("name", name);
      visit.field("reply_to", reply_to);
      if (why) throw *why;
      const auto make = network_.factory(name);
      if (!make)
        throw Error(
            ErrorCode::invalid_argument,
            "node '" + network_.self.node + "' does not make actors called '" + name + "'")
            .hint("Network::offer says what peers may have made");
      actor = make(network_.system, [&](const auto& fields) { fields(visit); });
    });
  } catch (const Error& error) {
    why = error;
    actor = {};
  } catch (const std::exception& error) {
    why = Error(ErrorCode::actor_down, error.what());
    actor = {};
  }
  lock.lock();
  if (!reply_to) throw Error(ErrorCode::wire_corrupt, "nobody to answer to");
  if (actor && !over_) {
    const Capability capability = export_actor(actor.cell());
    Export& made = exports_[capability];
    --made.count;  // counted again when the answer carries it
    if (!std::exchange(made.spawned, true)) ++spawned_;
  }
  reply_to.send(Found{std::move(actor), why ? std::move(*why) : Error()});
}

void Peering::refused(const std::string& what) {
  network_.system.log(LogLevel::warning, "a message of peer '" + node() + "' was refused: " + what);
  if (++refusals_ <= network_.options.quota.refusals_max) return;
  session_->abort(Error(
      ErrorCode::wire_corrupt,
      "peer '" + node() + "' sent " + std::to_string(refusals_) +
          " messages that no actor here takes; the last: " + what));
}

PeerStatus Peering::status() const {
  PeerStatus status;
  status.node = session_->peer();
  status.incarnation = session_->peer_incarnation();
  status.dialed = at_.has_value();
  status.up = up_;
  status.remote = remote_;
  if (last_closed_) status.trouble = last_closed_->message();
  status.round_trip_ns = session_->round_trip_ns();
  status.messages_sent = messages_sent_;
  status.messages_received = messages_received_;
  status.bytes_sent = bytes_sent_;
  status.bytes_received = bytes_received_;
  status.exported = exports_.size();
  status.imported = imports_.size();
  status.credit_bytes = std::numeric_limits<std::uint64_t>::max();
  for (unsigned lane = 0; lane < lanes_.size(); ++lane) {
    const LaneStatus of = session_->status(lane);
    status.waiting_messages += lanes_[lane].waiting.size();
    status.waiting_bytes += lanes_[lane].waiting_bytes;
    status.credit_bytes = std::min(status.credit_bytes, of.credit_bytes);
    status.resumes += of.resumes;
  }
  return status;
}

// --- a stand-in's way to its peer

PeerRoute::~PeerRoute() {
  const std::lock_guard lock(network_->mutex);
  try {
    peering_->route_gone(capability_, count);
  } catch (...) {  // without memory, or after the end, the peer keeps the actor a little longer
  }
}

void PeerRoute::send(ActorCell&, Message& message) {
  const std::lock_guard lock(network_->mutex);
  peering_->send(
      capability_,
      peering_->lane_of(capability_),
      message.type().id,
      [&](FieldVisitor& visit) { message.type().visit(message, visit); },
      message.type().bounded);
}

}  // namespace troupe::net
