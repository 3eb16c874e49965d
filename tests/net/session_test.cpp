#include "meta.hpp"
#include "session_world.hpp"

#include <troupe/core/random.hpp>
#include <troupe/net/session.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace troupe::testing {
namespace {

using net::FrameHeader;
using net::FrameType;
using net::Session;

constexpr std::int64_t ms = 1'000'000;

/// A session that was dialed by this test, which writes the peer's frames by hand.
class ByHand {
 public:
  explicit ByHand(net::SessionOptions options = {})
      : random_(make_seeded_random(1)), session(options, self, hello(), *random_, 0) {
    session.on_accepted(hello(), 0);
    for (unsigned lane = 1; lane < 2; ++lane) {
      net::Hello other = hello();
      other.lane = static_cast<std::uint8_t>(lane);
      session.on_accepted(other, 0);
    }
    CHECK(written(0).front().type == FrameType::hello);
    CHECK(written(1).front().type == FrameType::hello);
    CHECK(std::holds_alternative<net::Opened>(session.next_event(0).value()));
  }

  static net::Hello hello() {
    net::Hello hello;
    hello.from = {{1, 2}, "peer", 1};
    hello.session = {3, 4};
    hello.lanes = 2;
    hello.message_bytes_max = 10'000;
    hello.credit_messages = 100;
    hello.credit_bytes = 10'000;
    return hello;
  }
  static FrameHeader message(std::uint64_t sequence, std::uint32_t payload = 0) {
    FrameHeader header;
    header.type = FrameType::message;
    header.lane = 1;
    header.sequence = sequence;
    header.payload_length = payload;
    return header;
  }

  /// The headers of what the session writes now.
  std::vector<FrameHeader> written(unsigned lane, std::int64_t now_ns = 0, bool finish = true) {
    std::vector<FrameHeader> headers;
    const auto batch = session.next_write(lane, now_ns);
    if (!batch) return headers;
    for (const auto& header : batch->headers) headers.push_back(net::decode_header(header).value());
    if (finish) session.on_written(lane);
    return headers;
  }
  void send(const FrameHeader& header, unsigned lane = 1, std::int64_t now_ns = 0) {
    const std::vector<std::byte> payload(header.payload_length);
    session.on_bytes(lane, net::encode(header), now_ns);
    if (net::body_bytes(header) == 0) return;
    session.on_bytes(lane, net::encode_body_head({}, payload).span(), now_ns);
    session.on_bytes(lane, payload, now_ns);
  }
  /// How the session is over; none if it goes on.
  std::optional<ErrorCode> over() {
    while (const auto event = session.next_event(0))
      if (const auto* end = std::get_if<net::Over>(&*event)) return end->reason.code();
    return std::nullopt;
  }

 private:
  const net::Identity self{{1, 2}, "self", 1};
  std::unique_ptr<Random> random_;

 public:
  Session session;
};

SessionWorld::Options quiet(std::uint64_t seed = 1) {
  SessionWorld::Options options;
  options.seed = seed;
  return options;
}

}  // namespace

TEST_CASE("the same seed gives the same bytes at the same times", "[net][simulation]") {
  const auto run = [](std::uint64_t seed) {
    SessionWorld::Options options = quiet(seed);
    options.faults.cut = 0.05;
    options.faults.flip = 0.02;
    SessionWorld world(options);
    world.run_until(1000 * ms, [&] { return world.all_delivered(); });
    return world.hash();
  };
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CHECK(run(seed) == run(seed));
    CHECK(run(seed) != run(seed + 1));
  }
}

TEST_CASE("a link without faults needs one connection for each lane", "[net][simulation]") {
  SessionWorld world(quiet());
  world.run_until(10'000 * ms);
  world.check_whole();
  CHECK(world.connections() == 2);
  CHECK(world.side(0).opened == 1);
  CHECK(world.side(1).opened == 1);
  CHECK(world.side(0).session->status(1).resumes == 0);
  // Two delays of at most a millisecond each.
  CHECK(world.side(0).session->round_trip_ns() > 0);
  CHECK(world.side(0).session->round_trip_ns() < 4 * ms);
}

// Goal: a session is itself again within 250 ms of a cut.
TEST_CASE("a cut session is resumed, and nothing is lost", "[net][simulation]") {
  const std::uint64_t seed = GENERATE(range(1, 50));
  CAPTURE(seed);
  SessionWorld::Options options = quiet(seed);
  options.messages = 400;
  SessionWorld world(options);
  for (int cut = 1; cut <= 20; ++cut) {
    world.run_until(world.now_ns() + 5 * ms + static_cast<std::int64_t>(seed) * 100'000);
    world.cut_all();
    const std::int64_t cut_ns = world.now_ns();
    world.run_until(cut_ns + 250 * ms, [&] {
      return world.side(0).session->status(0).live && world.side(0).session->status(1).live &&
             world.side(1).session->status(0).live && world.side(1).session->status(1).live;
    });
    CHECK(world.now_ns() < cut_ns + 250 * ms);
  }
  world.run_until(world.now_ns() + 10'000 * ms, [&] { return world.all_delivered(); });
  world.check_whole();
  CHECK(world.side(0).session->status(0).resumes == 20);
}

TEST_CASE("a producer without credit waits, is told, and loses nothing", "[net][simulation]") {
  SessionWorld::Options options = quiet();
  for (net::SessionOptions& session : options.session) {
    session.credit_messages = 3;
    session.credit_bytes = 5000;
  }
  options.messages = 300;
  options.work_ns_max = 2 * ms;  // a message takes twice as long as its way
  SessionWorld world(options);
  world.run_until(10'000 * ms, [&] { return world.all_delivered(); });
  world.check_whole();  // it watches the bounds all the way
  CHECK(world.side(0).credit_came > 100);
  CHECK(world.side(1).credit_came > 100);
}

TEST_CASE("a payload is written from where it lies, and again after a cut", "[net][simulation]") {
  SessionWorld::Options options = quiet();
  options.messages = 0;
  SessionWorld world(options);
  world.run_until(100 * ms);
  const auto owner = std::make_shared<std::vector<std::byte>>(5000);
  unsigned writes = 0;
  world.on_write = [&](const net::WriteBatch& batch, unsigned) {
    for (const auto& span : batch.spans) writes += span.data() == owner->data();
  };
  Session& sender = *world.side(0).session;
  world.partition(true);
  REQUIRE(sender.offer(1, {}, {}, Bytes(*owner, owner)).value());
  world.run_until(world.now_ns() + ms);
  CHECK(writes == 1);
  CHECK(sender.status(1).unacknowledged_bytes == 64 + 4 + 5000);
  world.cut_all();
  world.partition(false);
  // On the new connection too. The receiver's ledger has no such message, and says so.
  CHECK_THROWS(world.run_until(world.now_ns() + 1000 * ms));
  CHECK(writes == 2);
  CHECK(owner.use_count() > 1);
}

TEST_CASE("a killed peer is down within 250 ms", "[net][simulation]") {
  const std::uint64_t seed = GENERATE(range(1, 20));
  CAPTURE(seed);
  SessionWorld world(quiet(seed));
  world.run_until(20 * ms);
  world.kill();
  const std::int64_t killed_ns = world.now_ns();
  world.run_until(60'000 * ms, [&] { return world.side(0).overs > 0; });
  CHECK(world.now_ns() - killed_ns < 250 * ms);
  REQUIRE(world.side(0).over);
  CHECK(world.side(0).over->code() == ErrorCode::peer_down);
  CHECK(world.side(0).over->message().starts_with("peer 'listener': its process is gone"));
  // Afterwards nothing is told, and an offer says what is the matter.
  world.run_until(world.now_ns() + 10'000 * ms);
  CHECK(world.side(0).overs == 1);
  const auto offered = world.side(0).session->offer(0, {}, {}, {});
  REQUIRE(!offered.ok());
  CHECK(offered.error().code() == ErrorCode::peer_down);
}

TEST_CASE("a restarted peer is another one, told once", "[net][simulation]") {
  const std::uint64_t seed = GENERATE(range(1, 20));
  CAPTURE(seed);
  SessionWorld world(quiet(seed));
  world.run_until(20 * ms);
  world.restart();
  world.run_until(10'000 * ms);
  REQUIRE(world.side(0).overs == 1);
  CHECK(world.side(0).over->code() == ErrorCode::peer_restarted);
  CHECK(world.side(0).over->message() == "node 'listener': life 1 of it is over, this is life 2");
}

TEST_CASE(
    "a partition is told to both sides within three seconds and a heartbeat", "[net][simulation]") {
  const std::uint64_t seed = GENERATE(range(1, 20));
  CAPTURE(seed);
  SessionWorld world(quiet(seed));
  world.run_until(100 * ms + static_cast<std::int64_t>(seed) * 10 * ms);
  world.partition(true);
  const std::int64_t parted_ns = world.now_ns();
  world.run_until(60'000 * ms, [&] { return world.side(0).overs > 0 && world.side(1).overs > 0; });
  CHECK(world.now_ns() - parted_ns <= 3001 * ms);
  for (unsigned i = 0; i < 2; ++i) {
    REQUIRE(world.side(i).over);
    CHECK(world.side(i).over->code() == ErrorCode::peer_down);
    CHECK(world.side(i).over->message().find("not heard on lane ") != std::string::npos);
  }
}

TEST_CASE("a partition that ends in time is not noticed above", "[net][simulation]") {
  SessionWorld::Options options = quiet();
  options.messages = 2000;
  SessionWorld world(options);
  world.run_until(15 * ms);
  REQUIRE(!world.all_delivered());
  world.partition(true);
  world.run_until(world.now_ns() + 2200 * ms);
  world.partition(false);
  world.run_until(20'000 * ms, [&] { return world.all_delivered(); });
  world.check_whole();
}

TEST_CASE("a peer that never answers is an error that says what to look at", "[net][simulation]") {
  SessionWorld world(quiet());
  world.partition(true);
  world.run_until(20'000 * ms);
  REQUIRE(world.side(0).over);
  CHECK(world.side(0).over->code() == ErrorCode::timed_out);
  CHECK(world.side(0).over->message() == "peer 'listener': lane 0 could not be opened");
  CHECK(!world.side(0).over->hint().empty());
}

TEST_CASE("a closed session delivers all, and is over on both sides", "[net][simulation]") {
  SessionWorld world(quiet());
  world.run_until(100 * ms, [&] { return world.side(0).offered[0] == 100; });
  world.offer_all(false);
  world.side(0).session->close();
  const auto late = world.side(0).session->offer(0, {}, {}, {});
  REQUIRE(!late.ok());
  CHECK(late.error().code() == ErrorCode::stopped);
  world.run_until(10'000 * ms);
  for (unsigned i = 0; i < 2; ++i) {
    REQUIRE(world.side(i).overs == 1);
    CHECK(world.side(i).over->code() == ErrorCode::stopped);
  }
  CHECK(world.side(1).delivered[0] == world.side(0).offered[0]);
  CHECK(world.side(1).delivered[1] == world.side(0).offered[1]);
}

TEST_CASE(
    "messages of an epoch that is over are dropped, and their sender told", "[net][simulation]") {
  SessionWorld::Options options = quiet();
  options.messages = 1000;
  options.session[1].credit_messages = 20;
  SessionWorld world(options);
  world.run_until(10 * ms);
  world.side(1).session->set_epoch(world.side(1).epoch = 5);
  world.run_until(10'000 * ms, [&] { return world.all_delivered(); });
  world.check_whole();
  CHECK(world.side(0).fenced_told == 1);
  CHECK(world.side(1).fenced[0] + world.side(1).fenced[1] > 0);
  CHECK(world.side(0).epoch == 5);
  CHECK_THROWS_AS(world.side(1).session->set_epoch(4), Error);
}

TEST_CASE("a peer that answers, has work and does none of it hangs", "[net][simulation]") {
  SessionWorld world(quiet());
  auto& told = world.side(0).progress;
  told = {7, true};
  // Each time just before it would be taken for hung: it did something, or had nothing to do.
  for (int i = 0; i < 4; ++i) {
    world.run_until(world.now_ns() + 28'000 * ms);
    if (i % 2 == 0)
      ++told.done;
    else
      told.busy = false;
    world.run_until(world.now_ns() + 1'000 * ms);
    told.busy = true;
  }
  REQUIRE(!world.side(1).over);
  const std::int64_t from_ns = world.now_ns();
  world.run_until(from_ns + 40'000 * ms, [&] { return world.side(1).over.has_value(); });
  CHECK(world.now_ns() - from_ns > 28'500 * ms);
  CHECK(world.now_ns() - from_ns < 31'000 * ms);
  REQUIRE(world.side(1).overs == 1);
  CHECK(world.side(1).over->code() == ErrorCode::peer_hung);
  CHECK(
      world.side(1).over->message() ==
      "peer 'dialer': it hangs: it answers, but for 30 s it has had work and done none");
  world.run_until(world.now_ns() + 5'000 * ms);
  REQUIRE(world.side(0).over);  // refused when it came again
  CHECK(world.side(0).over->code() == ErrorCode::peer_down);
}

TEST_CASE("what a session cannot be is refused", "[net]") {
  const auto random = make_seeded_random(1);
  const auto refused = [&](auto change) {
    net::SessionOptions options;
    change(options);
    try {
      Session session(options, {{1, 2}, "a", 1}, "b", *random, 0);
    } catch (const Error& error) {
      return error.code() == ErrorCode::invalid_argument;
    }
    return false;
  };
  using Options = net::SessionOptions;
  CHECK(!refused([](Options&) {}));
  CHECK(refused([](Options& options) { options.lanes = 0; }));
  CHECK(refused([](Options& options) { options.lanes = net::lanes_max + 1; }));
  CHECK(refused([](Options& options) { options.credit_messages = 0; }));
  CHECK(refused([](Options& options) { options.credit_bytes = 0; }));
  CHECK(refused([](Options& options) { options.window_bytes = 0; }));
  CHECK(refused([](Options& options) { options.silence_ns = options.heartbeat_ns; }));
  CHECK(refused([](Options& options) { options.down_ns = options.silence_ns; }));
  CHECK(refused([](Options& options) { options.backoff_min_ns = 0; }));
  CHECK(refused([](Options& options) { options.backoff_max_ns = 1; }));
  CHECK(refused([](Options& options) { options.bytes_per_s_min = 0; }));
}

TEST_CASE("a message that the peer never takes is an error, not a wait", "[net]") {
  ByHand hand;
  const auto offer = [&](std::size_t meta, std::size_t payload) {
    const std::vector<std::byte> bytes(meta);
    auto owner = std::make_shared<std::vector<std::byte>>(payload);
    return hand.session.offer(1, {}, bytes, Bytes(*owner, owner));
  };
  CHECK(offer(0, 9932).value());  // 64 and 4 more: all the credit there is
  CHECK(!offer(0, 0).value());
  for (const auto& [meta, payload] :
       {std::pair<std::size_t, std::size_t>{0, 9933}, {70'000, 0}, {0, 300U << 20}}) {
    const auto offered = offer(meta, payload);
    REQUIRE(!offered.ok());
    CHECK(offered.error().code() == ErrorCode::invalid_argument);
    CHECK(offered.error().hint().starts_with("send it in parts"));
  }
}

TEST_CASE("an offer from before the greeting is not forgotten when it proves too large", "[net]") {
  const auto random = make_seeded_random(1);
  Session session({}, {{1, 2}, "self", 1}, "peer", *random, 0);
  const std::vector<std::byte> meta(1000);
  CHECK(!session.offer(0, {}, meta, {}).value());
  REQUIRE(session.wish(0, 0) == Session::Wish::connect);
  session.on_connected(0, {}, 0);
  net::Hello hello = ByHand::hello();
  hello.session = session.id();
  hello.message_bytes_max = 500;
  const Bytes bytes = net::write_hello(hello);
  FrameHeader header;
  header.type = FrameType::hello;
  header.meta_length = static_cast<std::uint32_t>(bytes.size());
  header.credit_messages = 10;
  header.credit_bytes = 500;
  session.on_bytes(0, net::encode(header), 0);
  session.on_bytes(0, net::encode_body_head(bytes.span(), {}).span(), 0);
  const auto event = session.next_event(0);
  REQUIRE(event);
  CHECK(std::get<net::CreditCame>(*event).lane == 0);
  const auto offered = session.offer(0, {}, meta, {});
  REQUIRE(!offered.ok());
  CHECK(offered.error().code() == ErrorCode::invalid_argument);
}

TEST_CASE("a peer that breaks the protocol loses its connection", "[net]") {
  const auto loses = [](const FrameHeader& header, unsigned lane = 1) {
    ByHand hand;
    hand.send(header, lane);
    CHECK(!hand.over());
    return hand.session.wish(lane, 0) == Session::Wish::close && !hand.session.status(lane).live;
  };
  CHECK(!loses(ByHand::message(1)));
  CHECK(loses(ByHand::message(2)));
  FrameHeader early = ByHand::message(1);
  early.ack = 1;
  CHECK(loses(early));  // acknowledges what was never sent
  FrameHeader elsewhere = ByHand::message(1);
  CHECK(loses(elsewhere, 0));
  FrameHeader ack;
  ack.lane = 1;
  CHECK(!loses(ack, 0));  // as a peer may whose connection is busy
  ack.lane = 2;
  CHECK(loses(ack, 0));
}

TEST_CASE("a peer that breaks the protocol again and again is given up", "[net]") {
  net::SessionOptions options;
  options.faults_max = 3;
  ByHand hand(options);
  for (int fault = 1; fault <= 3; ++fault) {
    CHECK(!hand.over());
    hand.send(ByHand::message(2));
    net::Hello again = ByHand::hello();
    again.lane = 1;
    (void)hand.session.wish(1, 0);
    hand.session.on_accepted(again, 0);
  }
  CHECK(hand.over() == ErrorCode::wire_corrupt);
}

TEST_CASE("a peer that takes more than its quota is given up", "[net]") {
  net::SessionOptions options;
  options.credit_bytes = 1000;
  options.chatter_per_s = 10;
  {
    ByHand hand(options);
    hand.send(ByHand::message(1, 933));  // one byte more than credit
    CHECK(hand.over() == ErrorCode::overload);
  }
  {
    ByHand hand(options);
    FrameHeader ack;
    ack.lane = 1;
    for (int i = 0; i < 20; ++i) hand.send(ack);
    CHECK(!hand.over());
    hand.send(ack);
    CHECK(hand.over() == ErrorCode::overload);
  }
  {
    ByHand hand(options);
    FrameHeader ack;
    ack.lane = 1;
    for (int i = 0; i < 100; ++i) hand.send(ack, 1, i * 100 * ms);  // ten a second
    CHECK(!hand.over());
  }
}

TEST_CASE("bytes of a frame that drip do not keep a connection", "[net]") {
  ByHand hand;
  const auto bytes = net::encode(ByHand::message(1));
  FrameHeader ack;
  for (int i = 0; i < 20; ++i) {
    hand.send(ack, 0, i * 100 * ms);
    hand.session.on_bytes(1, std::span(bytes).subspan(i, 1), i * 100 * ms);
    hand.session.on_timer(i * 100 * ms);
    CHECK(hand.session.status(1).live);
  }
  hand.session.on_timer(2000 * ms);
  CHECK(hand.session.status(0).live);
  CHECK(!hand.session.status(1).live);
  CHECK(hand.session.wish(1, 2000 * ms) == Session::Wish::close);
}

TEST_CASE("a message that is never acknowledged costs the connection, a large one later", "[net]") {
  net::SessionOptions options;
  options.bytes_per_s_min = 5000;
  const std::size_t payload = GENERATE(0, 9932);
  ByHand hand(options);
  auto owner = std::make_shared<std::vector<std::byte>>(payload);
  REQUIRE(hand.session.offer(1, {}, {}, Bytes(*owner, owner)).value());
  CHECK(hand.written(1).back().sequence == 1);
  FrameHeader heartbeat;  // stands for any sign of life
  const std::int64_t until_ns = payload == 0 ? 2012 * ms + ms : 4000 * ms;
  for (std::int64_t now_ns = 0; now_ns < until_ns; now_ns += 100 * ms) {
    for (const std::uint8_t lane : {0, 1}) {
      heartbeat.lane = lane;
      hand.send(heartbeat, lane, now_ns);
    }
    hand.session.on_timer(now_ns);
    CHECK(hand.session.status(1).live);
  }
  hand.session.on_timer(until_ns);
  CHECK(!hand.session.status(1).live);
  CHECK(hand.session.status(0).live);
}

TEST_CASE("the control connection acknowledges for a lane that is busy", "[net]") {
  ByHand hand;
  (void)hand.written(0);
  auto owner = std::make_shared<std::vector<std::byte>>(5000);
  REQUIRE(hand.session.offer(1, {}, {}, Bytes(*owner, owner)).value());
  CHECK(!hand.written(1, 0, false).empty());  // and goes on being written
  hand.send(ByHand::message(1));
  CHECK(hand.written(0, 9 * ms).empty());
  CHECK(hand.session.next_timer_ns() == 10 * ms);
  const auto acks = hand.written(0, 10 * ms);
  REQUIRE(acks.size() == 1);
  CHECK(acks[0].type == FrameType::ack);
  CHECK(acks[0].lane == 1);
  CHECK(acks[0].ack == 1);
  CHECK(hand.written(0, 11 * ms).empty());
  // Should the control connection break, the peer may not have heard it.
  hand.session.on_closed(0, false, 12 * ms);
  net::Hello again = ByHand::hello();
  hand.session.on_accepted(again, 13 * ms);
  const auto repeated = hand.written(0, 13 * ms);
  CHECK(std::ranges::any_of(repeated, [](const FrameHeader& header) {
    return header.type == FrameType::ack && header.lane == 1 && header.ack == 1;
  }));
}

TEST_CASE("deliveries come before the end, whatever ended the session", "[net]") {
  ByHand hand;
  hand.send(ByHand::message(1));
  hand.send(ByHand::message(2));
  net::Hello later = ByHand::hello();
  later.session = {5, 6};
  later.from.incarnation = 2;
  hand.session.replace(later);
  CHECK(std::get<net::Delivery>(hand.session.next_event(0).value()).sequence == 1);
  CHECK(std::get<net::Delivery>(hand.session.next_event(0).value()).sequence == 2);
  const auto end = std::get<net::Over>(hand.session.next_event(0).value());
  CHECK(end.reason.code() == ErrorCode::peer_restarted);
  CHECK(end.unacknowledged == 0);
  CHECK(!hand.session.next_event(0));
}

TEST_CASE("who dials is told of another cluster, another node, another session", "[net]") {
  const auto random = make_seeded_random(1);
  const auto answered = [&](auto change) {
    Session session({}, {{1, 2}, "self", 1}, "peer", *random, 0);
    REQUIRE(session.wish(0, 0) == Session::Wish::connect);
    session.on_connected(0, {}, 0);
    net::Hello hello = ByHand::hello();
    hello.session = session.id();
    change(hello);
    const Bytes meta = net::write_hello(hello);
    FrameHeader header;
    header.type = FrameType::hello;
    header.meta_length = static_cast<std::uint32_t>(meta.size());
    session.on_bytes(0, net::encode(header), 0);
    session.on_bytes(0, net::encode_body_head(meta.span(), {}).span(), 0);
    std::string message;
    while (const auto event = session.next_event(0))
      if (const auto* end = std::get_if<net::Over>(&*event)) message = end->reason.message();
    return message.empty() && !session.status(0).live ? "the connection is lost" : message;
  };
  CHECK(answered([](net::Hello&) {}).empty());
  CHECK(answered([](net::Hello& hello) {
          hello.from.cluster = {};
        }) == "peer 'peer': it is of another cluster");
  CHECK(answered([](net::Hello& hello) {
          hello.from.node = "other";
        }) == "peer 'peer': 'other' answers at its address");
  CHECK(answered([](net::Hello& hello) { hello.session = {1, 1}; }) == "the connection is lost");
  CHECK(answered([](net::Hello& hello) { hello.lanes = 3; }) == "the connection is lost");
}

}  // namespace troupe::testing
