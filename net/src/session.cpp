#include "inbox.hpp"
#include "meta.hpp"
#include "outbox.hpp"

#include <troupe/core/random.hpp>
#include <troupe/net/session.hpp>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

namespace troupe::net {

namespace {

constexpr std::int64_t never = Inbox::never;
constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::size_t batch_messages_max = 64;
constexpr std::size_t batch_bytes_max = 1U << 20;
// Hello, heartbeat, fenced, goodbye; an acknowledgement for each lane.
constexpr std::size_t batch_control_max = 4 + lanes_max;
// So many bytes of a frame that is not whole yet tell that the peer lives as well as a frame does;
// fewer may drip.
constexpr std::size_t lively_bytes = 64U << 10;
constexpr std::size_t kept_bytes_max = 16U << 20;

void check(const SessionOptions& options) {
  const auto wrong = [](const std::string& what) {
    throw Error(ErrorCode::invalid_argument, "session: " + what);
  };
  if (options.lanes == 0 || options.lanes > lanes_max)
    wrong(std::to_string(options.lanes) + " lanes; 1 to " + std::to_string(lanes_max) + " may be");
  if (options.credit_messages == 0 || options.credit_bytes == 0 || options.window_bytes == 0)
    wrong("without credit and window nothing is ever sent");
  if (options.silence_ns <= options.heartbeat_ns || options.down_ns <= options.silence_ns)
    wrong("heartbeat_ns, silence_ns and down_ns must grow in this order");
  if (options.backoff_min_ns <= 0 || options.backoff_max_ns < options.backoff_min_ns)
    wrong("backoff_min_ns must be positive, and backoff_max_ns no less");
  if (options.bytes_per_s_min == 0) wrong("bytes_per_s_min is 0");
}

Id128 draw_id(Random& random) {
  const std::uint64_t high = random.next();
  return {high, random.next() | 1};  // never 0, which stands for none
}

}  // namespace

struct Session::Lane {
  enum class Link : std::uint8_t { closed, connecting, greeting, live };

  Lane(const SessionOptions& options, const std::shared_ptr<Buffers>& buffers, std::int64_t now_ns)
      : out(options.window_bytes),
        in(options.credit_messages, options.credit_bytes, options.ack_delay_ns),
        reader(buffers),
        connect_at_ns(now_ns),
        heard_ns(now_ns),
        chatter_ns(now_ns),
        chatter_left(2.0 * options.chatter_per_s) {}

  Outbox out;
  Inbox in;
  std::deque<Delivery> arrived;
  std::uint64_t refused_bytes = 0;  // of the message that `offer` did not take; 0: none waits

  Link link = Link::closed;
  bool close_wanted = false;
  bool greeted = false;  // once at least
  FrameReader reader;
  std::shared_ptr<WriteBatch> batch;
  bool writing = false;
  bool hello_wanted = false;
  bool fenced_wanted = false;
  bool goodbye_wanted = false;
  bool goodbye_written = false;

  std::int64_t connect_at_ns;
  std::int64_t began_ns = 0;  // of the connection
  std::int64_t lost_ns = 0;   // when the last one ended
  std::int64_t heard_ns;
  std::size_t heard_bytes = 0;  // since then
  std::int64_t heartbeat_at_ns = 0;
  std::int64_t progress_ns = 0;  // when an acknowledgement came, or the first message went
  std::int64_t chatter_ns;
  double chatter_left;
  unsigned attempts = 0;
  unsigned refusals = 0;
  unsigned faults = 0;
  unsigned resumes = 0;

  [[nodiscard]] std::int64_t ack_deadline_ns(const SessionOptions& options) const {
    if (!out.awaits_ack()) return never;
    const auto oldest = static_cast<std::int64_t>(out.oldest_bytes());
    return progress_ns + options.silence_ns + oldest * second_ns / options.bytes_per_s_min;
  }
};

Session::Session(
    const SessionOptions& options,
    Identity self,
    std::string peer,
    Id128 id,
    unsigned lanes,
    Random& random,
    std::int64_t now_ns)
    : options_(options),
      self_(std::move(self)),
      peer_(std::move(peer)),
      id_(id),
      random_(random),
      began_ns_(now_ns),
      peer_message_bytes_max_(std::numeric_limits<std::uint32_t>::max()),
      buffers_(std::make_shared<Buffers>(kept_bytes_max)) {
  check(options);
  for (unsigned i = 0; i < lanes; ++i)
    lanes_.push_back(std::make_unique<Lane>(options, buffers_, now_ns));
}

Session::Session(
    const SessionOptions& options,
    Identity self,
    std::string peer,
    Random& random,
    std::int64_t now_ns)
    : Session(
          options,
          std::move(self),
          std::move(peer),
          draw_id(random),
          options.lanes,
          random,
          now_ns) {
  dials_ = true;
}

Session::Session(
    const SessionOptions& options,
    Identity self,
    const Hello& hello,
    Random& random,
    std::int64_t now_ns)
    : Session(
          options, std::move(self), hello.from.node, hello.session, hello.lanes, random, now_ns) {
  peer_incarnation_ = hello.from.incarnation;
}

Session::~Session() = default;

Error Session::about_peer(ErrorCode code, const std::string& what) const {
  return {code, (peer_.empty() ? "the peer" : "peer '" + peer_ + "'") + (": " + what)};
}

// --- to and from the application

Result<bool> Session::offer(
    unsigned lane, const Capability& destination, std::span<const std::byte> meta, Bytes payload) {
  if (over_) return over_->reason;
  if (closing_) return about_peer(ErrorCode::stopped, "the session was closed");
  if (meta.size() > meta_bytes_max || payload.size() > payload_bytes_max)
    return about_peer(
               ErrorCode::invalid_argument,
               "a message of " + std::to_string(meta.size()) + " meta bytes and " +
                   std::to_string(payload.size()) + " bytes of payload; " +
                   std::to_string(meta_bytes_max) + " and " + std::to_string(payload_bytes_max) +
                   " at most")
        .hint("send it in parts");
  FrameHeader header;
  header.meta_length = static_cast<std::uint32_t>(meta.size());
  header.payload_length = static_cast<std::uint32_t>(payload.size());
  const std::uint64_t bytes = frame_bytes(header);
  const std::uint64_t most = message_bytes_max();
  if (bytes > most)
    return about_peer(
               ErrorCode::invalid_argument,
               "a message of " + std::to_string(bytes) + " bytes; " + std::to_string(most) +
                   " at most, by the peer's credit and this side's window")
        .hint("send it in parts, or allow more by SessionOptions on both sides");
  Lane& l = *lanes_.at(lane);
  if (!l.out.takes(bytes)) {
    l.refused_bytes = bytes;
    return false;
  }
  OutgoingMessage message;
  message.epoch = epoch_;
  message.destination = destination;
  message.meta_length = header.meta_length;
  message.head = encode_body_head(meta, payload.span());
  message.payload = std::move(payload);
  l.out.push(std::move(message), bytes);
  return true;
}

std::uint64_t Session::message_bytes_max() const noexcept {
  return std::min<std::uint64_t>(peer_message_bytes_max_, options_.window_bytes);
}

std::optional<SessionEvent> Session::next_event(std::int64_t now_ns) {
  if (!events_.empty()) {
    SessionEvent event = std::move(events_.front());
    events_.pop_front();
    return event;
  }
  for (unsigned lane = 0; lane < lanes_.size(); ++lane)
    if (auto delivery = take(lane, now_ns)) return std::move(*delivery);
  if (!over_ || over_told_) return std::nullopt;
  over_told_ = true;
  return *over_;
}

std::optional<Delivery> Session::take(unsigned lane, std::int64_t now_ns) {
  Lane& l = *lanes_[lane];
  while (!l.arrived.empty()) {
    Delivery delivery = std::move(l.arrived.front());
    l.arrived.pop_front();
    // Here and not where it came in: the epoch may have changed since.
    if (delivery.epoch >= epoch_) return delivery;
    l.in.release(delivery.frame_bytes, now_ns);
    l.fenced_wanted = true;
  }
  return std::nullopt;
}

void Session::release(unsigned lane, std::uint32_t frame_bytes, std::int64_t now_ns) {
  lanes_.at(lane)->in.release(frame_bytes, now_ns);
}

void Session::set_epoch(std::uint32_t epoch) {
  if (epoch < epoch_)
    throw Error(
        ErrorCode::invalid_argument,
        "session: epoch " + std::to_string(epoch) + " after " + std::to_string(epoch_));
  epoch_ = epoch;
}

void Session::close() {
  closing_ = true;
  lanes_[0]->goodbye_wanted = true;
}

void Session::abort(Error reason) { end(std::move(reason)); }

bool Session::all_acknowledged() const noexcept {
  return std::all_of(lanes_.begin(), lanes_.end(), [](const std::unique_ptr<Lane>& lane) {
    return lane->out.acknowledged() == lane->out.offered();
  });
}

void Session::end(Error reason) {
  if (over_) return;
  over_.emplace();
  over_->reason = std::move(reason);
  for (const auto& lane : lanes_) {
    over_->unacknowledged += lane->out.offered() - lane->out.acknowledged();
    lane->close_wanted |= lane->link != Lane::Link::closed;
    lane->link = Lane::Link::closed;
    lane->reader.reset();
    lane->batch.reset();
  }
}

void Session::replace(const Hello& hello) {
  if (hello.from.incarnation == peer_incarnation_)
    return end(about_peer(ErrorCode::peer_down, "it began another session"));
  end(about_peer(
      ErrorCode::peer_restarted,
      "it is in life " + std::to_string(hello.from.incarnation) + " by now; life " +
          std::to_string(peer_incarnation_) + " is over"));
}

// --- connections

Session::Wish Session::wish(unsigned lane, std::int64_t now_ns) {
  Lane& l = *lanes_.at(lane);
  if (std::exchange(l.close_wanted, false)) return Wish::close;
  if (over_ || !dials_ || l.link != Lane::Link::closed || now_ns < l.connect_at_ns)
    return Wish::none;
  l.link = Lane::Link::connecting;
  l.began_ns = now_ns;
  return Wish::connect;
}

void Session::on_connected(unsigned lane, const std::string& peer, std::int64_t now_ns) {
  Lane& l = *lanes_.at(lane);
  if (l.link != Lane::Link::connecting) return;
  if (peer_.empty()) peer_ = peer;
  l.link = Lane::Link::greeting;
  l.began_ns = now_ns;
  l.hello_wanted = true;
}

void Session::on_accepted(const Hello& hello, std::int64_t now_ns) {
  Lane& l = *lanes_.at(hello.lane);
  if (over_) return;
  if (l.link != Lane::Link::closed) lose(hello.lane, now_ns);
  l.close_wanted = false;  // the owner has closed the former one
  l.hello_wanted = true;
  open(hello.lane, hello, now_ns);
}

void Session::open(unsigned lane, const Hello& hello, std::int64_t now_ns) {
  Lane& l = *lanes_[lane];
  if (auto resumed = l.out.resume(hello.ack, hello.credit_messages, hello.credit_bytes); !resumed)
    return end(about_peer(resumed.error().code(), resumed.error().message()));
  peer_message_bytes_max_ = hello.message_bytes_max;
  l.link = Lane::Link::live;
  if (l.greeted) ++l.resumes;
  l.greeted = true;
  l.attempts = 0;
  l.refusals = 0;
  l.heard_ns = now_ns;
  l.heard_bytes = 0;
  l.heartbeat_at_ns = now_ns;
  tell_credit(lane);
  if (opened_) return;
  opened_ = std::all_of(lanes_.begin(), lanes_.end(), [](const auto& one) { return one->greeted; });
  if (!opened_) return;
  peer_moved_ns_ = now_ns;
  events_.emplace_back(Opened{});
}

void Session::on_closed(unsigned lane, bool refused, std::int64_t now_ns) {
  Lane& l = *lanes_.at(lane);
  if (l.link == Lane::Link::closed) return;
  lose(lane, now_ns);
  l.close_wanted = false;
  l.refusals = refused ? l.refusals + 1 : 0;
  if (l.greeted && l.refusals >= options_.refusals_max)
    end(about_peer(
        ErrorCode::peer_down,
        "its process is gone: " + std::to_string(l.refusals) + " connections were refused"));
}

void Session::lose(unsigned lane, std::int64_t now_ns) {
  Lane& l = *lanes_[lane];
  l.close_wanted = true;
  l.link = Lane::Link::closed;
  l.lost_ns = now_ns;
  l.reader.reset();
  l.batch.reset();
  l.writing = false;
  l.hello_wanted = false;
  l.goodbye_written = false;
  // What this connection told of the others may be lost with it.
  if (lane == 0)
    for (const auto& other : lanes_) other->in.tell_again();
  // Between half of it and all of it, so that those who lost one switch do not all come at once.
  const unsigned doublings = std::min(l.attempts++, 20U);
  const std::int64_t backoff_ns =
      std::min(options_.backoff_max_ns, options_.backoff_min_ns << doublings);
  const auto jitter =
      static_cast<std::int64_t>(random_.next() % (static_cast<std::uint64_t>(backoff_ns) / 2 + 1));
  l.connect_at_ns = now_ns + backoff_ns - jitter;
}

void Session::fault(unsigned lane, Error error, std::int64_t now_ns) {
  Lane& l = *lanes_[lane];
  ++l.faults;
  // Who greeted once is no stranger; what looks like one now are damaged bytes. Who did not may
  // have been damaged once or twice.
  const bool stranger = error.code() == ErrorCode::peer_mismatch;
  const unsigned faults_max = stranger && !l.greeted ? 3 : options_.faults_max;
  if ((stranger || error.code() == ErrorCode::wire_corrupt) && l.faults < faults_max)
    return lose(lane, now_ns);
  Error reason = about_peer(error.code(), error.message());
  end(std::move(reason.hint(error.hint())));
}

// --- what comes in

void Session::on_bytes(unsigned lane, std::span<const std::byte> bytes, std::int64_t now_ns) {
  Lane& l = *lanes_.at(lane);
  l.heard_bytes += bytes.size();
  if (l.heard_bytes >= lively_bytes) {
    l.heard_ns = now_ns;
    l.heard_bytes = 0;
  }
  while (l.link == Lane::Link::greeting || l.link == Lane::Link::live) {
    Result<void> sound;
    if (l.reader.state() == FrameReader::State::decide) {
      sound = decide(lane, now_ns);
    } else if (l.reader.state() == FrameReader::State::done) {
      sound = handle(lane, now_ns);
    } else if (bytes.empty()) {
      return;
    } else if (auto used = l.reader.read(bytes)) {
      bytes = bytes.subspan(used.value());
    } else {
      sound = std::move(used).error();
    }
    if (!sound) fault(lane, std::move(sound).error(), now_ns);
  }
}

Room Session::room(unsigned lane) const { return lanes_.at(lane)->reader.room(); }

/// Looks at a header before anything is kept for its body.
Result<void> Session::decide(unsigned lane, std::int64_t now_ns) {
  Lane& l = *lanes_[lane];
  const FrameHeader& header = l.reader.header();
  // An acknowledgement may come on the control connection when the lane's own has no room for it.
  const bool elsewhere = lane == 0 && header.type == FrameType::ack && header.lane < lanes_.size();
  if (header.lane != lane && !elsewhere)
    return Error(
        ErrorCode::wire_corrupt,
        "a frame of lane " + std::to_string(header.lane) + " on lane " + std::to_string(lane));
  const bool greets = header.type == FrameType::hello || header.type == FrameType::refusal;
  if (greets != (l.link == Lane::Link::greeting))
    return Error(
        ErrorCode::wire_corrupt,
        "a frame of type " + std::to_string(static_cast<int>(header.type)) +
            (greets ? " on a connection that has greeted" : " before a greeting"));
  bool next = true;
  if (header.type == FrameType::message) {
    auto expected = l.in.expects(header);
    if (!expected) return std::move(expected).error();
    next = expected.value();
  }
  if ((!next || header.type != FrameType::message) && !chatter(*lanes_[header.lane], now_ns))
    return Error(ErrorCode::overload, "it sends more frames than it may");
  if (next) {
    l.reader.accept();
  } else {
    l.in.tell_again();
    l.reader.skip();
  }
  return {};
}

/// Frames that no credit bounds are bounded by time, and by what is sent to be acknowledged.
bool Session::chatter(Lane& lane, std::int64_t now_ns) {
  const double earned =
      static_cast<double>(now_ns - lane.chatter_ns) / 1e9 * options_.chatter_per_s;
  lane.chatter_ns = now_ns;
  lane.chatter_left = std::min(lane.chatter_left + earned, 2.0 * options_.chatter_per_s) - 1;
  return lane.chatter_left >= 0;
}

Result<void> Session::handle(unsigned lane, std::int64_t now_ns) {
  Lane& connection = *lanes_[lane];
  const Frame frame = connection.reader.take();
  const FrameHeader& header = frame.header;
  connection.heard_ns = now_ns;
  connection.heard_bytes = 0;
  Lane& l = *lanes_[header.lane];
  if (header.type == FrameType::hello) return handle_hello(lane, frame, now_ns);
  if (header.type == FrameType::refusal) {
    end(read_refusal(frame.meta.span()));
    return {};
  }
  auto news = l.out.acknowledge(header);
  if (!news) return std::move(news).error();
  if (news.value()) {
    l.progress_ns = now_ns;
    l.faults = 0;
  }
  tell_credit(header.lane);
  switch (header.type) {
    case FrameType::message:
      if (frame.skipped) break;  // it came before
      l.in.arrived(header, now_ns);
      l.faults = 0;
      l.arrived.push_back(
          {lane,
           header.sequence,
           header.epoch,
           static_cast<std::uint32_t>(frame_bytes(header)),
           header.destination,
           frame.meta,
           frame.payload});
      break;
    case FrameType::heartbeat:
      return handle_pulse(frame, now_ns);
    case FrameType::fenced:
      if (header.epoch > std::max(epoch_, peer_epoch_told_)) {
        peer_epoch_told_ = header.epoch;
        events_.emplace_back(Fenced{header.epoch});
      }
      break;
    case FrameType::goodbye:
      end(about_peer(ErrorCode::stopped, "it closed the session"));
      break;
    default:
      break;
  }
  return {};
}

Result<void> Session::handle_hello(unsigned lane, const Frame& frame, std::int64_t now_ns) {
  auto read = read_hello(frame);
  if (!read) return std::move(read).error();
  const Hello& hello = read.value();
  if (peer_.empty()) peer_ = hello.from.node;
  if (hello.from.cluster != self_.cluster || hello.from.node != peer_) {
    Error other = about_peer(
        ErrorCode::peer_mismatch,
        hello.from.cluster != self_.cluster ? "it is of another cluster"
                                            : "'" + hello.from.node + "' answers at its address");
    end(std::move(other.hint("check the address and the certificates")));
    return {};
  }
  if (hello.session != id_ || hello.lanes != lanes_.size())
    return Error(ErrorCode::wire_corrupt, "it answers with another session");
  if (peer_incarnation_ != 0 && peer_incarnation_ != hello.from.incarnation) {
    replace(hello);
    return {};
  }
  peer_incarnation_ = hello.from.incarnation;
  open(lane, hello, now_ns);
  return {};
}

Result<void> Session::handle_pulse(const Frame& frame, std::int64_t now_ns) {
  auto read = read_pulse(frame.meta.span());
  if (!read) return std::move(read).error();
  const Pulse& pulse = read.value();
  pulse_sent_ns_ = pulse.sent_ns;
  pulse_came_ns_ = now_ns;
  if (pulse.echo_ns != 0) {
    // Unsigned, for the peer may have written anything; what is no time that passed is no news.
    const std::uint64_t away_ns =
        static_cast<std::uint64_t>(now_ns) - pulse.echo_ns - pulse.held_ns;
    if (away_ns <= static_cast<std::uint64_t>(now_ns))
      round_trip_ns_ = static_cast<std::int64_t>(away_ns);
  }
  if (pulse.progress.done != peer_done_ || !pulse.progress.busy) peer_moved_ns_ = now_ns;
  peer_done_ = pulse.progress.done;
  peer_busy_ = pulse.progress.busy;
  return {};
}

void Session::tell_credit(unsigned lane) {
  Lane& l = *lanes_[lane];
  // One that is larger than the peer ever takes, which it said after the offer, is an error now:
  // the sender must come again to hear it.
  if (l.refused_bytes == 0) return;
  if (!l.out.takes(l.refused_bytes) && l.refused_bytes <= message_bytes_max()) return;
  l.refused_bytes = 0;
  events_.emplace_back(CreditCame{lane});
}

// --- what goes out

std::shared_ptr<const WriteBatch> Session::next_write(unsigned lane, std::int64_t now_ns) {
  Lane& l = *lanes_.at(lane);
  const bool open = l.link == Lane::Link::live || l.link == Lane::Link::greeting;
  if (over_ || l.writing || !open) return nullptr;
  if (!l.batch || l.batch.use_count() > 1) l.batch = std::make_shared<WriteBatch>();
  WriteBatch& batch = *l.batch;
  batch.spans.clear();
  batch.headers.clear();
  batch.held.clear();
  batch.bytes = 0;
  batch.headers.reserve(batch_messages_max + batch_control_max);  // spans point into it
  write_control(lane, batch, now_ns);
  if (l.link == Lane::Link::live) write_messages(l, lane, batch, now_ns);
  if (l.link == Lane::Link::live) write_acks(lane, batch, now_ns);
  if (batch.bytes == 0) return nullptr;
  l.writing = true;
  return l.batch;
}

void Session::write_control(unsigned lane, WriteBatch& batch, std::int64_t now_ns) {
  Lane& l = *lanes_[lane];
  const auto write = [&](FrameType type, const Bytes& meta) {
    FrameHeader header;
    header.type = type;
    header.lane = static_cast<std::uint8_t>(lane);
    header.epoch = epoch_;
    header.meta_length = static_cast<std::uint32_t>(meta.size());
    write_frame(l, header, encode_body_head(meta.span(), {}), {}, batch);
  };
  if (std::exchange(l.hello_wanted, false)) {
    Hello hello;
    hello.from = self_;
    hello.session = id_;
    hello.knows = peer_incarnation_;
    hello.lanes = static_cast<std::uint8_t>(lanes_.size());
    hello.message_bytes_max = options_.credit_bytes;
    write(FrameType::hello, write_hello(hello));
  }
  if (l.link != Lane::Link::live) return;
  if (now_ns >= l.heartbeat_at_ns) {
    l.heartbeat_at_ns = now_ns + options_.heartbeat_ns;
    Pulse pulse{progress_(), static_cast<std::uint64_t>(now_ns), pulse_sent_ns_, 0};
    pulse.held_ns = static_cast<std::uint64_t>(now_ns - pulse_came_ns_);
    write(FrameType::heartbeat, write_pulse(pulse));
  }
  if (std::exchange(l.fenced_wanted, false)) write(FrameType::fenced, {});
  if (l.goodbye_wanted && all_acknowledged()) {
    l.goodbye_written = true;
    write(FrameType::goodbye, {});
  }
}

void Session::write_messages(Lane& lane, unsigned number, WriteBatch& batch, std::int64_t now_ns) {
  for (std::size_t i = 0; i < batch_messages_max && batch.bytes < batch_bytes_max; ++i) {
    const OutgoingMessage* message = lane.out.next();
    if (!message) return;
    FrameHeader header;
    header.type = FrameType::message;
    header.lane = static_cast<std::uint8_t>(number);
    header.sequence = message->sequence;
    header.epoch = message->epoch;
    header.destination = message->destination;
    header.meta_length = message->meta_length;
    header.payload_length = static_cast<std::uint32_t>(message->payload.size());
    write_frame(lane, header, message->head, message->payload, batch);
    if (!lane.out.awaits_ack()) lane.progress_ns = now_ns;
    lane.out.wrote();
    lane.chatter_left += 1;  // it may be acknowledged by a frame of its own
  }
}

/// Those that no other frame carried. A lane whose own connection is busy with a large message must
/// not keep the peer waiting for so long that it takes the connection for dead.
void Session::write_acks(unsigned lane, WriteBatch& batch, std::int64_t now_ns) {
  for (unsigned other = 0; other < lanes_.size(); ++other) {
    Lane& l = *lanes_[other];
    const bool on_behalf = lane == 0 && l.link == Lane::Link::live && l.writing;
    if ((other != lane && !on_behalf) || l.in.ack_at_ns() > now_ns) continue;
    FrameHeader header;
    header.lane = static_cast<std::uint8_t>(other);
    header.epoch = epoch_;
    write_frame(l, header, {}, {}, batch);
  }
}

void Session::write_frame(
    Lane& lane, FrameHeader header, const Bytes& head, const Bytes& payload, WriteBatch& batch) {
  lane.in.tell(header);
  batch.headers.push_back(encode(header));
  batch.spans.emplace_back(batch.headers.back());
  for (const Bytes& bytes : {head, payload}) {
    if (bytes.size() == 0) continue;
    batch.held.push_back(bytes);
    batch.spans.push_back(bytes.span());
  }
  batch.bytes += header_bytes + head.size() + payload.size();
}

void Session::on_written(unsigned lane) {
  Lane& l = *lanes_.at(lane);
  l.writing = false;
  if (l.goodbye_written) end(about_peer(ErrorCode::stopped, "the session was closed here"));
}

// --- time

void Session::on_timer(std::int64_t now_ns) {
  for (unsigned lane = 0; lane < lanes_.size() && !over_; ++lane) check_times(lane, now_ns);
  if (!over_ && now_ns >= orphaned_at_ns())
    end(about_peer(
        ErrorCode::peer_down,
        "its process is gone: all connections ended, and none came for " +
            std::to_string(options_.orphan_ns / 1'000'000) + " ms"));
  if (!over_ && now_ns >= hung_at_ns())
    end(about_peer(
            ErrorCode::peer_hung,
            "it hangs: it answers, but for " +
                std::to_string((now_ns - peer_moved_ns_) / second_ns) +
                " s it has had work and done none")
            .hint("look at what its threads do there; SessionOptions::hung_ns says how long a turn "
                  "or a chunk may take"));
}

std::int64_t Session::hung_at_ns() const noexcept {
  return opened_ && peer_busy_ ? peer_moved_ns_ + options_.hung_ns : never;
}

std::int64_t Session::orphaned_at_ns() const noexcept {
  if (dials_ || options_.orphan_ns == 0 || !opened_) return never;
  std::int64_t lost_ns = 0;
  for (const auto& lane : lanes_) {
    if (lane->link != Lane::Link::closed) return never;
    lost_ns = std::max(lost_ns, lane->lost_ns);
  }
  return lost_ns + options_.orphan_ns;
}

void Session::check_times(unsigned lane, std::int64_t now_ns) {
  Lane& l = *lanes_[lane];
  const std::string where = "lane " + std::to_string(lane);
  if (!l.greeted && now_ns >= began_ns_ + options_.open_ns)
    return end(about_peer(ErrorCode::timed_out, where + " could not be opened")
                   .hint("check that the peer runs, its address, and what lies between"));
  if (l.greeted && now_ns >= l.heard_ns + options_.down_ns)
    return end(about_peer(
        ErrorCode::peer_down,
        "not heard on " + where + " for " + std::to_string((now_ns - l.heard_ns) / 1'000'000) +
            " ms, after its message " + std::to_string(l.in.received())));
  using Link = Lane::Link;
  const bool mute = (l.link == Link::connecting || l.link == Link::greeting) &&
                    now_ns >= l.began_ns + options_.connect_ns;
  const bool silent = l.link == Link::live && (now_ns >= l.heard_ns + options_.silence_ns ||
                                               now_ns >= l.ack_deadline_ns(options_));
  if (mute || silent) lose(lane, now_ns);
}

std::int64_t Session::next_timer_ns() const noexcept {
  if (over_) return never;
  std::int64_t next = std::min(hung_at_ns(), orphaned_at_ns());
  const bool busy = lanes_[0]->link != Lane::Link::live || lanes_[0]->writing;
  for (const auto& lane : lanes_) {
    const Lane& l = *lane;
    next = std::min(next, l.greeted ? l.heard_ns + options_.down_ns : began_ns_ + options_.open_ns);
    switch (l.link) {
      case Lane::Link::closed:
        if (dials_) next = std::min(next, l.connect_at_ns);
        break;
      case Lane::Link::connecting:
      case Lane::Link::greeting:
        next = std::min(next, l.began_ns + options_.connect_ns);
        break;
      case Lane::Link::live:
        next = std::min(
            {next,
             l.heard_ns + options_.silence_ns,
             l.ack_deadline_ns(options_),
             l.writing ? never : l.heartbeat_at_ns,
             l.writing && busy ? never : l.in.ack_at_ns()});
        break;
    }
  }
  return next;
}

LaneStatus Session::status(unsigned lane) const noexcept {
  const Lane& l = *lanes_[lane];
  LaneStatus status;
  status.live = l.link == Lane::Link::live;
  status.offered = l.out.offered();
  status.acknowledged = l.out.acknowledged();
  status.received = l.in.received();
  status.unacknowledged_bytes = l.out.unacknowledged_bytes();
  status.held_bytes = l.in.held_bytes();
  status.credit_messages = l.out.credit_messages();
  status.credit_bytes = l.out.credit_bytes();
  status.resumes = l.resumes;
  return status;
}

}  // namespace troupe::net
