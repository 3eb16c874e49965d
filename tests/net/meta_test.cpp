#include "meta.hpp"

#include "archive.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace troupe::net {
namespace {

Hello some_hello() {
  Hello hello;
  hello.from = {{1, 2}, "worker-7", 3};
  hello.session = {4, 5};
  hello.knows = 6;
  hello.lanes = 2;
  hello.message_bytes_max = 7;
  return hello;
}

Result<Hello> read_meta(std::span<const std::byte> meta, std::uint8_t lane = 1) {
  Frame frame;
  frame.header.lane = lane;
  frame.header.ack = 8;
  frame.header.credit_messages = 9;
  frame.header.credit_bytes = 10;
  frame.meta = Bytes::copy_of(meta);
  return read_hello(frame);
}

}  // namespace

TEST_CASE("a hello comes back as it was", "[net]") {
  const Hello hello = some_hello();
  const Bytes meta = write_hello(hello);
  CHECK(meta.size() == 16 + 2 + 8 + 8 + 16 + 8 + 1 + 4);
  const auto read = read_meta(meta.span());
  REQUIRE(read.ok());
  const Hello& back = read.value();
  CHECK(back.from.cluster == hello.from.cluster);
  CHECK(back.from.node == "worker-7");
  CHECK(back.from.incarnation == 3);
  CHECK(back.session == hello.session);
  CHECK(back.knows == 6);
  CHECK(back.lanes == 2);
  CHECK(back.message_bytes_max == 7);
  CHECK(back.lane == 1);
  CHECK(back.ack == 8);
  CHECK(back.credit_messages == 9);
  CHECK(back.credit_bytes == 10);
}

TEST_CASE("meta bytes too few or too many are refused at each length", "[net]") {
  const Bytes hello = write_hello(some_hello());
  const Bytes pulse = write_pulse({{1, true}, 2, 3, 4});
  for (std::size_t length = 0; length < hello.size(); ++length) {
    const auto read = read_meta(hello.span().first(length));
    REQUIRE(!read.ok());
    CHECK(read.error().code() == ErrorCode::wire_corrupt);
    CHECK(read.error().message().starts_with("meta: at byte "));
  }
  for (std::size_t length = 0; length < pulse.size(); ++length)
    CHECK(!read_pulse(pulse.span().first(length)).ok());
  std::vector<std::byte> longer(pulse.span().begin(), pulse.span().end());
  longer.push_back({});
  const auto read = read_pulse(longer);
  REQUIRE(!read.ok());
  CHECK(read.error().message() == "meta: at byte 33: 1 bytes too many");
}

TEST_CASE("a length is believed only up to its cap and to what is there", "[net]") {
  const Bytes hello = write_hello(some_hello());
  std::vector<std::byte> bytes(hello.span().begin(), hello.span().end());
  bytes[16] = std::byte{0};  // the name's length: 256
  bytes[17] = std::byte{1};
  const auto capped = read_meta(bytes);
  REQUIRE(!capped.ok());
  CHECK(capped.error().message() == "meta: at byte 18: a text of 256 bytes, 255 at most");
  bytes[16] = std::byte{200};
  bytes[17] = std::byte{0};
  const auto missing = read_meta(bytes);
  REQUIRE(!missing.ok());
  CHECK(missing.error().message() == "meta: at byte 18: 200 bytes wanted, 45 left");
}

TEST_CASE("a text that is too long is cut off where it is written", "[net]") {
  const Error reason(ErrorCode::fenced, std::string(2000, 'x'));
  const Error read = read_refusal(write_refusal(reason).span());
  CHECK(read.code() == ErrorCode::fenced);
  CHECK(read.message() == std::string(512, 'x'));
}

TEST_CASE("a hello that says what cannot be is refused", "[net]") {
  const auto refused = [](auto change, std::uint8_t lane = 1) {
    Hello hello = some_hello();
    change(hello);
    const auto read = read_meta(write_hello(hello).span(), lane);
    return !read.ok() && read.error().code() == ErrorCode::wire_corrupt &&
           read.error().message().starts_with("hello: ");
  };
  CHECK(!refused([](Hello&) {}));
  CHECK(refused([](Hello& hello) { hello.from.node.clear(); }));
  CHECK(refused([](Hello& hello) { hello.from.incarnation = 0; }));
  CHECK(refused([](Hello& hello) { hello.session = {}; }));
  CHECK(refused([](Hello& hello) { hello.lanes = 0; }));
  CHECK(refused([](Hello& hello) { hello.lanes = lanes_max + 1; }));
  CHECK(refused([](Hello&) {}, 2));
}

TEST_CASE("a refusal and a pulse come back as they were", "[net]") {
  const Error reason = Error(ErrorCode::peer_restarted, "why").hint("what to do");
  const Error read = read_refusal(write_refusal(reason).span());
  CHECK(std::string(read.what()) == reason.what());
  CHECK(read_refusal({}).code() == ErrorCode::wire_corrupt);

  const Pulse pulse{{1, true}, 1ULL << 63, 3, 4};
  const Bytes bytes = write_pulse(pulse);
  CHECK(read_pulse(bytes.span()).value() == pulse);
  std::vector<std::byte> changed(bytes.span().begin(), bytes.span().end());
  changed[8] = std::byte{2};
  const auto neither = read_pulse(changed);
  REQUIRE(!neither.ok());
  CHECK(neither.error().message() == "meta: at byte 9: 2 where 0 or 1 must be");
}

}  // namespace troupe::net
