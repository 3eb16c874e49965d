#include "session_world.hpp"

#include <array>
#include <utility>

namespace troupe::testing {

using net::Session;

namespace {

constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2);
  return hash * 0xff51afd7ed558ccd;
}

std::byte pattern(unsigned side, unsigned lane, std::uint64_t number, std::size_t i) {
  return static_cast<std::byte>(side * 131 + lane * 31 + number * 7 + i);
}

/// Where the whole frames in these bytes begin; the last entry is where they end.
std::vector<std::size_t> frames_in(std::span<const std::byte> bytes) {
  std::vector<std::size_t> starts{0};
  while (bytes.size() - starts.back() >= net::header_bytes) {
    const auto header = net::decode_header(bytes.subspan(starts.back()).first<net::header_bytes>());
    starts.push_back(starts.back() + net::frame_bytes(header.value()));
  }
  return starts;
}

}  // namespace

struct SessionWorld::Connection {
  unsigned lane = 0;
  bool open = true;
  bool frozen[2] = {false, false};   // nothing that this side sends from now on arrives
  bool lost[2] = {false, false};     // something it sent got lost under way, so no more arrives
  std::int64_t last_ns[2] = {0, 0};  // when what this side sent last arrives
  net::Reception reception;
  bool received = false;  // the listener knows who it is
  std::shared_ptr<const net::WriteBatch> writing[2];
};

SessionWorld::SessionWorld(Options options)
    : options_(std::move(options)),
      random_(make_seeded_random(options_.seed)),
      session_random_(make_seeded_random(options_.seed + 1)) {
  for (unsigned i = 0; i < 2; ++i) {
    options_.session[i].lanes = options_.lanes;
    sides_[i].self = {{1, 2}, i == 0 ? "dialer" : "listener", 1};
    for (auto* list : {&sides_[i].offered, &sides_[i].delivered, &sides_[i].fenced})
      list->assign(options_.lanes, 0);
    sides_[i].waits_for_credit.assign(options_.lanes, false);
    current_[i].resize(options_.lanes);
  }
  sides_[0].session = std::make_unique<Session>(
      options_.session[0], sides_[0].self, sides_[1].self.node, *session_random_, now_ns_);
  sides_[0].session->set_progress([this] { return sides_[0].progress; });
}

SessionWorld::~SessionWorld() = default;

void SessionWorld::fail(const std::string& what) const {
  throw std::runtime_error(
      "seed " + std::to_string(options_.seed) + " at " + std::to_string(now_ns_) + " ns: " + what);
}

std::uint64_t SessionWorld::draw() { return random_->next(); }

bool SessionWorld::chance(double probability) {
  return probability > 0 && static_cast<double>(draw() >> 11) * 0x1p-53 < probability;
}

void SessionWorld::at(std::int64_t at_ns, std::function<void()> run) {
  heap_.push_back({at_ns, orders_++, std::move(run)});
  std::push_heap(heap_.begin(), heap_.end(), [](const Event& a, const Event& b) {
    return a.at_ns != b.at_ns ? a.at_ns > b.at_ns : a.order > b.order;
  });
}

void SessionWorld::run_until(std::int64_t until_ns, const std::function<bool()>& done) {
  pump();
  for (int still = 0; !done();) {
    std::int64_t next_ns = until_ns;
    if (!heap_.empty()) next_ns = std::min(next_ns, heap_.front().at_ns);
    for (const Side& side : sides_)
      if (side.session) next_ns = std::min(next_ns, side.session->next_timer_ns());
    still = next_ns > now_ns_ ? 0 : still + 1;
    if (still > 1000) fail("time stands still");
    now_ns_ = std::max(now_ns_, next_ns);
    if (now_ns_ >= until_ns) return;
    while (!heap_.empty() && heap_.front().at_ns <= now_ns_) {
      std::pop_heap(heap_.begin(), heap_.end(), [](const Event& a, const Event& b) {
        return a.at_ns != b.at_ns ? a.at_ns > b.at_ns : a.order > b.order;
      });
      const auto run = std::move(heap_.back().run);
      heap_.pop_back();
      run();
    }
    for (Side& side : sides_)
      if (side.session) side.session->on_timer(now_ns_);
    pump();
  }
}

void SessionWorld::pump() {
  for (int rounds = 0; pump_side(0) | pump_side(1); ++rounds)
    if (rounds > 100'000) fail("does not come to rest");
}

/// Does all that side i wishes for now; false when there was nothing.
bool SessionWorld::pump_side(unsigned i) {
  Side& side = sides_[i];
  if (!side.session) return false;
  bool busy = act(i);
  while (auto event = side.session->next_event(now_ns_)) {
    busy = true;
    take(i, std::move(*event));
  }
  for (unsigned lane = 0; lane < options_.lanes; ++lane) {
    auto& connection = current_[i][lane];
    const Session::Wish wish = side.session->wish(lane, now_ns_);
    busy |= wish != Session::Wish::none;
    if (wish == Session::Wish::close && connection) close(connection, i);
    if (wish == Session::Wish::connect) dial(lane);
    if (!connection || connection->writing[i]) continue;
    auto batch = side.session->next_write(lane, now_ns_);
    if (!batch) continue;
    busy = true;
    on_write(*batch, i);
    std::vector<std::byte> bytes;
    for (const auto& span : batch->spans) bytes.insert(bytes.end(), span.begin(), span.end());
    connection->writing[i] = std::move(batch);
    transmit(connection, i, std::move(bytes));
  }
  check_bounds(i);
  return busy;
}

/// Offers what credit allows.
bool SessionWorld::act(unsigned i) {
  Side& side = sides_[i];
  if (!offering_ || side.session->over() || side.opened == 0) return false;
  bool busy = false;
  for (unsigned lane = 0; lane < options_.lanes; ++lane) {
    while (!side.waits_for_credit[lane] && side.offered[lane] < options_.messages) {
      if (chance(options_.epochs)) side.session->set_epoch(++side.epoch);
      const std::uint64_t number = side.offered[lane] + 1;
      std::array<std::byte, 12> meta{};
      std::memcpy(meta.data(), &number, 8);
      std::memcpy(meta.data() + 8, &side.epoch, 4);
      auto payload = std::make_shared<std::vector<std::byte>>(
          draw() % 4 == 0 ? 0 : draw() % options_.payload_bytes_max);
      for (std::size_t k = 0; k < payload->size(); ++k) (*payload)[k] = pattern(i, lane, number, k);
      const std::span<const std::byte> bytes(*payload);
      const auto offered = side.session->offer(lane, {i, lane}, meta, Bytes(bytes, payload));
      if (!offered) fail("an offer failed: " + std::string(offered.error().what()));
      side.waits_for_credit[lane] = !offered.value();
      if (!offered.value()) break;
      side.epoch_of[std::uint64_t{lane} << 32 | number] = side.epoch;
      side.offered[lane] = number;
      busy = true;
    }
  }
  return busy;
}

void SessionWorld::dial(unsigned lane) {
  auto connection = std::make_shared<Connection>();
  connection->lane = lane;
  current_[0][lane] = connection;
  ++connections_made_;
  const std::int64_t arrives_ns = now_ns_ + 1 + draw() % options_.faults.delay_ns_max;
  const bool refused = !listening_;
  if (partitioned_) return;  // no answer at all
  if (refused || chance(options_.faults.refuse)) {
    at(arrives_ns, [this, connection, refused] {
      auto& current = current_[0][connection->lane];
      if (current != connection) return;
      current.reset();
      sides_[0].session->on_closed(connection->lane, refused, now_ns_);
    });
    return;
  }
  at(arrives_ns, [this, connection] {
    if (current_[0][connection->lane] == connection)
      sides_[0].session->on_connected(connection->lane, {}, now_ns_);
  });
}

void SessionWorld::transmit(
    const std::shared_ptr<Connection>& connection, unsigned from, std::vector<std::byte> bytes) {
  const LinkFaults& faults = options_.faults;
  if (partitioned_ || chance(faults.freeze)) connection->frozen[from] = true;
  const bool cut = chance(faults.cut);
  const bool lost = connection->frozen[from];
  bytes = disturb(std::move(bytes));
  if (cut) bytes.resize(draw() % (bytes.size() + 1));
  std::int64_t& last_ns = connection->last_ns[from];
  // In pieces of any size, in order.
  for (std::size_t begin = 0; begin < bytes.size() && !lost;) {
    const std::size_t count = std::min<std::size_t>(1 + draw() % 4000, bytes.size() - begin);
    std::vector<std::byte> piece(bytes.begin() + begin, bytes.begin() + begin + count);
    begin += count;
    last_ns = std::max<std::int64_t>(last_ns, now_ns_ + 1 + draw() % faults.delay_ns_max);
    at(last_ns, [this, connection, from, piece = std::move(piece)]() mutable {
      arrive(connection, 1 - from, std::move(piece));
    });
  }
  last_ns = std::max(last_ns, now_ns_ + 1);
  at(last_ns, [this, connection, from] {
    if (!connection->open) return;
    connection->writing[from].reset();
    if (current_[from][connection->lane] == connection)
      sides_[from].session->on_written(connection->lane);
  });
  if (cut)
    for (unsigned side = 0; side < 2; ++side)
      at(last_ns + 1 + draw() % faults.delay_ns_max,
         [this, connection, side] { hear_closed(connection, side); });
}

/// Repeats, loses, swaps or damages whole frames, as no sound TCP does.
std::vector<std::byte> SessionWorld::disturb(std::vector<std::byte> bytes) {
  const LinkFaults& faults = options_.faults;
  const auto starts = frames_in(bytes);
  const std::size_t count = starts.size() - 1;
  std::vector<std::vector<std::byte>> frames;
  for (std::size_t i = 0; i < count; ++i)
    frames.emplace_back(bytes.begin() + starts[i], bytes.begin() + starts[i + 1]);
  if (chance(faults.repeat)) {
    const std::size_t which = draw() % count;
    frames.insert(frames.begin() + which, frames[which]);
  }
  if (chance(faults.lose)) frames.erase(frames.begin() + draw() % frames.size());
  if (frames.size() > 1 && chance(faults.swap)) {
    const std::size_t which = draw() % (frames.size() - 1);
    std::swap(frames[which], frames[which + 1]);
  }
  bytes.clear();
  for (const auto& frame : frames) bytes.insert(bytes.end(), frame.begin(), frame.end());
  if (!bytes.empty() && chance(faults.flip))
    bytes[draw() % bytes.size()] ^= static_cast<std::byte>(1U << draw() % 8);
  return bytes;
}

void SessionWorld::arrive(
    const std::shared_ptr<Connection>& connection, unsigned to, std::vector<std::byte> bytes) {
  bool& lost = connection->lost[1 - to];
  lost |= partitioned_;
  if (!connection->open || lost) return;
  for (const std::byte byte : bytes) hash_ = mix(hash_, static_cast<std::uint64_t>(byte));
  hash_ = mix(hash_, static_cast<std::uint64_t>(now_ns_));
  if (to == 1 && !connection->received) return accept(connection, std::move(bytes));
  if (current_[to][connection->lane] != connection) return;
  sides_[to].session->on_bytes(connection->lane, bytes, now_ns_);
}

/// What a listener does until a connection has said hello.
void SessionWorld::accept(
    const std::shared_ptr<Connection>& connection, std::vector<std::byte> bytes) {
  if (!listening_) return;
  auto read = connection->reception.read(bytes);
  if (!read) return close(connection, 1);
  if (!read.value()) return;
  const net::Hello& hello = *read.value();
  Side& side = sides_[1];
  const net::Admission admission =
      net::admit(side.self, hello, side.session.get(), options_.session[1].lanes);
  if (admission.kind == net::Admission::Kind::refuse) {
    auto refusal = net::encode_refusal(admission.reason, hello.lane);
    arrive(connection, 0, std::move(refusal));
    return close(connection, 1);
  }
  if (admission.kind == net::Admission::Kind::begin) {
    if (side.session) fail("a session was begun in place of another");
    side.session =
        std::make_unique<Session>(options_.session[1], side.self, hello, *session_random_, now_ns_);
    side.session->set_progress([this] { return sides_[1].progress; });
  }
  if (connection->lane != hello.lane) fail("a hello of another lane");
  auto& former = current_[1][hello.lane];
  if (former) close(former, 1);
  former = connection;
  connection->received = true;
  side.session->on_accepted(hello, now_ns_);
}

/// One side closes; the other hears of it, if anything can be heard.
void SessionWorld::close(std::shared_ptr<Connection> connection, unsigned by) {
  if (!connection->open) return;
  const unsigned other = 1 - by;
  if (current_[by][connection->lane] == connection) current_[by][connection->lane].reset();
  if (partitioned_ || connection->frozen[by]) return;
  at(now_ns_ + 1 + draw() % options_.faults.delay_ns_max,
     [this, connection, other] { hear_closed(connection, other); });
}

void SessionWorld::hear_closed(const std::shared_ptr<Connection>& connection, unsigned side) {
  connection->open = false;
  auto& current = current_[side][connection->lane];
  if (current != connection) return;
  current.reset();
  if (sides_[side].session) sides_[side].session->on_closed(connection->lane, false, now_ns_);
}

void SessionWorld::cut_all() {
  for (unsigned i = 0; i < 2; ++i)
    for (unsigned lane = 0; lane < options_.lanes; ++lane)
      if (const auto connection = current_[i][lane]) hear_closed(connection, i);
}

void SessionWorld::kill() {
  listening_ = false;
  sides_[1].session.reset();
  for (unsigned lane = 0; lane < options_.lanes; ++lane)
    if (const auto connection = current_[1][lane]) close(connection, 1);
}

void SessionWorld::restart() {
  kill();
  listening_ = true;
  const net::Identity self = sides_[1].self;
  sides_[1] = Side();
  sides_[1].self = self;
  ++sides_[1].self.incarnation;
  for (auto* list : {&sides_[1].offered, &sides_[1].delivered, &sides_[1].fenced})
    list->assign(options_.lanes, 0);
  sides_[1].waits_for_credit.assign(options_.lanes, false);
}

void SessionWorld::take(unsigned i, net::SessionEvent event) {
  Side& side = sides_[i];
  if (side.overs > 0) fail("an event came after the session was over");
  std::visit(
      [&]<class What>(What& what) {
        if constexpr (std::is_same_v<What, net::Delivery>) {
          take(i, what);
        } else if constexpr (std::is_same_v<What, net::Opened>) {
          ++side.opened;
        } else if constexpr (std::is_same_v<What, net::CreditCame>) {
          if (!side.waits_for_credit[what.lane]) fail("credit came for nobody");
          side.waits_for_credit[what.lane] = false;
          ++side.credit_came;
        } else if constexpr (std::is_same_v<What, net::Fenced>) {
          ++side.fenced_told;
          if (what.epoch <= side.epoch) fail("fenced by no later epoch");
          side.epoch = what.epoch;
          side.session->set_epoch(what.epoch);
        } else {
          ++side.overs;
          side.over = what.reason;
        }
      },
      event);
}

/// The ledger: what comes must be the next message of its lane, whole, and of no epoch that is
/// over.
void SessionWorld::take(unsigned i, net::Delivery& delivery) {
  Side& side = sides_[i];
  Side& other = sides_[1 - i];
  const unsigned lane = delivery.lane;
  std::uint64_t number = 0;
  std::uint32_t epoch = 0;
  if (delivery.meta.size() != 12) fail("meta bytes of another length");
  std::memcpy(&number, delivery.meta.span().data(), 8);
  std::memcpy(&epoch, delivery.meta.span().data() + 8, 4);
  if (number != delivery.sequence) fail("a number that is not the sequence's");
  if (delivery.destination != net::Capability{1 - i, lane}) fail("another destination");
  if (epoch != delivery.epoch) fail("an epoch that the message was not offered in");
  if (epoch < side.epoch) fail("a message of an epoch that is over");
  std::uint64_t& last = side.delivered[lane];
  for (++last; last < number; ++last) {
    const auto passed = other.epoch_of.find(std::uint64_t{lane} << 32 | last);
    if (passed == other.epoch_of.end() || passed->second >= side.epoch)
      fail("message " + std::to_string(last) + " of lane " + std::to_string(lane) + " is lost");
    ++side.fenced[lane];
  }
  if (last != number)
    fail("message " + std::to_string(number) + " came after " + std::to_string(last - 1));
  const auto payload = delivery.payload.span();
  for (std::size_t k = 0; k < payload.size(); ++k)
    if (payload[k] != pattern(1 - i, lane, number, k)) fail("a payload that nobody sent");
  if (reinterpret_cast<std::uintptr_t>(payload.data()) % 64 != 0) fail("a payload out of line");
  const std::int64_t done_ns = now_ns_ + 1 + draw() % options_.work_ns_max;
  at(done_ns, [this, i, lane, bytes = delivery.frame_bytes, session = side.session.get()] {
    if (sides_[i].session.get() == session) session->release(lane, bytes, now_ns_);
  });
}

void SessionWorld::check_bounds(unsigned i) const {
  const Session& session = *sides_[i].session;
  for (unsigned lane = 0; lane < options_.lanes; ++lane) {
    const net::LaneStatus status = session.status(lane);
    if (status.unacknowledged_bytes > options_.session[i].window_bytes) fail("a window too full");
    if (status.held_bytes > options_.session[i].credit_bytes) fail("more held than credit given");
  }
}

bool SessionWorld::all_delivered() const {
  for (unsigned i = 0; i < 2; ++i)
    for (unsigned lane = 0; lane < options_.lanes; ++lane) {
      if (!sides_[1 - i].session || !sides_[i].session) return false;
      if (sides_[i].offered[lane] < options_.messages) return false;
      const auto sent = sides_[i].session->status(lane);
      const auto there = sides_[1 - i].session->status(lane);
      if (sent.acknowledged < sent.offered || there.held_bytes > 0) return false;
    }
  return true;
}

void run_seed(std::uint64_t seed) {
  SessionWorld::Options options;
  options.seed = seed;
  const auto random = make_seeded_random(seed ^ 0x5eed);
  const auto upto = [&](std::uint64_t most) { return random->next() % (most + 1); };
  const auto often = [&](double most) { return most * static_cast<double>(upto(100)) / 100; };
  options.lanes = 1 + static_cast<unsigned>(upto(2));
  options.messages = 20 + static_cast<unsigned>(upto(100));
  options.payload_bytes_max = 1 + static_cast<std::uint32_t>(upto(3000));
  options.work_ns_max = 1 + static_cast<std::int64_t>(upto(5'000'000));
  if (upto(2) == 0) options.epochs = often(0.1);
  LinkFaults& faults = options.faults;
  faults.delay_ns_max = 1 + static_cast<std::int64_t>(upto(20'000'000));
  if (upto(1) == 0) faults.cut = often(0.2);
  if (upto(2) == 0) faults.freeze = often(0.02);
  if (upto(2) == 0) faults.refuse = often(0.5);
  if (upto(2) == 0) faults.repeat = often(0.2);
  if (upto(2) == 0) faults.lose = often(0.05);
  if (upto(2) == 0) faults.swap = often(0.1);
  if (upto(2) == 0) faults.flip = often(0.05);
  for (net::SessionOptions& session : options.session) {
    session.credit_messages = 1 + static_cast<std::uint32_t>(upto(upto(1) == 0 ? 4 : 200));
    session.credit_bytes = 4000 + static_cast<std::uint32_t>(upto(60'000));
    session.window_bytes = 4000 + upto(60'000);
    // Faults are many and near to each other: what ends a session must be farther away.
    session.silence_ns = 400'000'000;
    session.connect_ns = 400'000'000;
    session.heartbeat_ns = 100'000'000;
    session.backoff_max_ns = 100'000'000;
    session.down_ns = session.open_ns = 600'000'000'000;
    session.faults_max = 1000;
  }
  SessionWorld world(options);
  const std::int64_t faults_end_ns = 1'000'000 * static_cast<std::int64_t>(upto(4000));
  const auto done = [&] { return world.all_delivered(); };
  world.run_until(faults_end_ns, done);
  world.heal();
  const std::int64_t healed_ns = world.now_ns();
  world.run_until(healed_ns + 60'000'000'000, done);
  world.check_whole();
}

void SessionWorld::check_whole() {
  for (unsigned i = 0; i < 2; ++i)
    if (sides_[i].overs > 0) fail(std::string("the session ended: ") + sides_[i].over->what());
  if (!all_delivered()) fail("not all messages came, though the faults are over");
  // Heartbeats tell all credit there is.
  run_until(now_ns_ + 2'000'000'000);
  for (unsigned i = 0; i < 2; ++i)
    for (unsigned lane = 0; lane < options_.lanes; ++lane) {
      const net::LaneStatus status = sides_[i].session->status(lane);
      const net::SessionOptions& given = options_.session[1 - i];
      if (status.credit_messages != given.credit_messages) fail("credit for messages leaks");
      if (status.credit_bytes != given.credit_bytes) fail("credit for bytes leaks");
    }
}

}  // namespace troupe::testing
