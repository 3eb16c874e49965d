#include "inbox.hpp"

#include <catch2/catch_test_macros.hpp>

namespace troupe::net {
namespace {

FrameHeader message(std::uint64_t sequence, std::uint32_t payload = 0) {
  FrameHeader header;
  header.type = FrameType::message;
  header.sequence = sequence;
  header.payload_length = payload;
  return header;
}

}  // namespace

TEST_CASE("an inbox expects each message once, in order", "[net]") {
  Inbox in(10, 10'000, 100);
  CHECK(in.expects(message(1)).value());
  in.arrived(message(1), 0);
  CHECK(!in.expects(message(1)).value());
  CHECK(in.expects(message(2)).value());
  const auto gap = in.expects(message(3));
  REQUIRE(!gap.ok());
  CHECK(gap.error().code() == ErrorCode::wire_corrupt);
  CHECK(gap.error().message() == "message 3 came where 2 was expected");
}

TEST_CASE("what comes without credit is refused, before anything is kept for it", "[net]") {
  Inbox in(2, 400, 100);
  const auto overload = [&in](const FrameHeader& header) {
    const auto expected = in.expects(header);
    return !expected.ok() && expected.error().code() == ErrorCode::overload;
  };
  CHECK(overload(message(1, 400)));  // 64 + 4 bytes more than that
  CHECK(in.expects(message(1, 332)).value());
  in.arrived(message(1, 100), 0);
  CHECK(overload(message(2, 200)));
  in.arrived(message(2), 0);
  CHECK(overload(message(3)));
  in.release(frame_bytes(message(1, 100)), 0);
  CHECK(in.expects(message(3, 200)).value());
  CHECK(in.held_bytes() == 64);
}

TEST_CASE("acknowledgements come after 64 messages, a MiB, or the delay", "[net]") {
  Inbox in(10'000, 1U << 30, 100);
  CHECK(in.ack_at_ns() == Inbox::never);
  in.arrived(message(1), 7);
  CHECK(in.ack_at_ns() == 107);
  in.arrived(message(2), 50);
  CHECK(in.ack_at_ns() == 107);
  for (std::uint64_t i = 3; i < 64; ++i) in.arrived(message(i), 50);
  CHECK(in.ack_at_ns() == 107);
  in.arrived(message(64), 50);
  CHECK(in.ack_at_ns() == 0);

  FrameHeader header;
  in.tell(header);
  CHECK(header.ack == 64);
  CHECK(in.ack_at_ns() == Inbox::never);
  in.arrived(message(65, 1U << 20), 60);
  CHECK(in.ack_at_ns() == 0);
  in.tell(header);
  in.tell_again();
  CHECK(in.ack_at_ns() == 0);
}

TEST_CASE("credit is told at once when a quarter of it was released", "[net]") {
  Inbox in(8, 1U << 20, 100);
  FrameHeader header;
  for (std::uint64_t i = 1; i <= 8; ++i) in.arrived(message(i), 0);
  in.tell(header);
  CHECK(header.credit_messages == 0);
  CHECK(header.credit_bytes == (1U << 20) - 8 * 64);
  in.release(64, 10);
  CHECK(in.ack_at_ns() == 110);
  in.release(64, 20);
  CHECK(in.ack_at_ns() == 0);
  in.tell(header);
  CHECK(header.credit_messages == 2);
  CHECK(header.credit_bytes == (1U << 20) - 6 * 64);
}

}  // namespace troupe::net
