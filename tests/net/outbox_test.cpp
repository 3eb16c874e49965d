#include "outbox.hpp"

#include <catch2/catch_test_macros.hpp>

namespace troupe::net {
namespace {

FrameHeader told(std::uint64_t ack, std::uint32_t messages, std::uint32_t bytes) {
  FrameHeader header;
  header.ack = ack;
  header.credit_messages = messages;
  header.credit_bytes = bytes;
  return header;
}

}  // namespace

TEST_CASE("an outbox takes what credit and window allow, and no more", "[net]") {
  Outbox out(500);
  CHECK(!out.takes(1));  // no credit yet
  REQUIRE(out.resume(0, 3, 1000).ok());
  CHECK(out.takes(500));
  CHECK(!out.takes(501));
  out.push({}, 300);
  CHECK(out.takes(200));
  CHECK(!out.takes(201));  // the window
  out.push({}, 200);
  CHECK(!out.takes(1));
  while (out.next()) out.wrote();
  REQUIRE(out.acknowledge(told(2, 1, 400)).value());
  CHECK(out.unacknowledged_bytes() == 0);
  CHECK(out.takes(500));  // 500 of the 1,000 are left, though the header says 400
  out.push({}, 100);
  CHECK(!out.takes(1));  // three messages were allowed
}

TEST_CASE(
    "messages are numbered, written once a connection, and kept until acknowledged", "[net]") {
  Outbox out(1000);
  REQUIRE(out.resume(0, 10, 1000).ok());
  for (int i = 0; i < 3; ++i) out.push({}, 100);
  CHECK(!out.awaits_ack());
  CHECK(out.next()->sequence == 1);
  out.wrote();
  CHECK(out.awaits_ack());
  CHECK(out.next()->sequence == 2);
  out.wrote();
  REQUIRE(out.acknowledge(told(1, 9, 900)).value());
  CHECK(out.awaits_ack());
  CHECK(out.oldest_bytes() == 100);
  CHECK(out.next()->sequence == 3);

  // A new connection, whose peer got the second but not the third.
  REQUIRE(out.resume(2, 8, 800).ok());
  CHECK(!out.awaits_ack());
  CHECK(out.next()->sequence == 3);
  out.wrote();
  CHECK(out.next() == nullptr);
  CHECK(!out.acknowledge(told(1, 9, 900)).value());  // an old one changes nothing
  CHECK(out.acknowledged() == 2);
  REQUIRE(out.acknowledge(told(3, 7, 700)).value());
  CHECK(!out.awaits_ack());
  CHECK(out.credit_messages() == 7);
  CHECK(out.credit_bytes() == 700);
}

TEST_CASE("the same header twice grants nothing twice", "[net]") {
  Outbox out(1000);
  REQUIRE(out.resume(0, 2, 100).ok());
  for (int i = 0; i < 3; ++i) REQUIRE(out.acknowledge(told(0, 2, 100)).ok());
  CHECK(out.credit_messages() == 2);
  CHECK(out.credit_bytes() == 100);
}

TEST_CASE("a peer cannot acknowledge what was not sent, nor forget what it acknowledged", "[net]") {
  Outbox out(1000);
  REQUIRE(out.resume(0, 10, 1000).ok());
  out.push({}, 100);
  out.push({}, 100);
  out.wrote();
  const auto early = out.acknowledge(told(2, 0, 0));
  REQUIRE(!early.ok());
  CHECK(early.error().code() == ErrorCode::wire_corrupt);
  REQUIRE(out.acknowledge(told(1, 9, 900)).ok());
  const auto forgot = out.resume(0, 10, 1000);
  REQUIRE(!forgot.ok());
  CHECK(forgot.error().code() == ErrorCode::wire_corrupt);
}

}  // namespace troupe::net
