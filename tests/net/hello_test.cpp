#include "meta.hpp"

#include <troupe/core/random.hpp>
#include <troupe/net/hello.hpp>
#include <troupe/net/session.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>
#include <vector>

namespace troupe::net {
namespace {

Hello some_hello() {
  Hello hello;
  hello.from = {{1, 2}, "b", 3};
  hello.session = {4, 5};
  hello.lanes = 2;
  hello.message_bytes_max = 1000;
  return hello;
}

std::vector<std::byte> frame_of(FrameType type, const Bytes& meta) {
  FrameHeader header;
  header.type = type;
  header.lane = 1;
  header.meta_length = static_cast<std::uint32_t>(meta.size());
  const auto front = encode(header);
  const Bytes head = encode_body_head(meta.span(), {});
  std::vector<std::byte> frame(front.begin(), front.end());
  frame.insert(frame.end(), head.span().begin(), head.span().end());
  return frame;
}

const Identity self{{1, 2}, "a", 7};

struct Refused {
  ErrorCode code;
  std::string message;
};
Refused refused(const Hello& hello, const Session* current) {
  const Admission admission = admit(self, hello, current, 2);
  REQUIRE(admission.kind == Admission::Kind::refuse);
  return {admission.reason.code(), admission.reason.message()};
}

}  // namespace

TEST_CASE("a reception reads one hello, in pieces of any size", "[net]") {
  const auto frame = frame_of(FrameType::hello, write_hello(some_hello()));
  for (std::size_t piece = 1; piece <= frame.size(); ++piece) {
    Reception reception;
    std::optional<Hello> hello;
    for (std::size_t at = 0; at < frame.size(); at += piece) {
      REQUIRE(!hello);
      const std::size_t count = std::min(piece, frame.size() - at);
      hello = reception.read(std::span(frame).subspan(at, count)).value();
    }
    REQUIRE(hello);
    CHECK(hello->from.node == "b");
    CHECK(hello->lane == 1);
  }
}

TEST_CASE("a reception refuses anything else than one hello", "[net]") {
  const auto refuses = [](const std::vector<std::byte>& bytes, const std::string& why) {
    Reception reception;
    const auto read = reception.read(bytes);
    return !read.ok() && read.error().code() == ErrorCode::wire_corrupt &&
           read.error().message() == why;
  };
  CHECK(refuses(frame_of(FrameType::ack, {}), "hello: the first frame is of type 4"));
  CHECK(refuses(
      frame_of(FrameType::hello, Bytes::copy_of(std::vector<std::byte>(1025))),
      "hello: 1025 meta bytes"));
  auto more = frame_of(FrameType::hello, write_hello(some_hello()));
  more.push_back({});
  CHECK(refuses(more, "hello: bytes behind it, before it was answered"));
  // A message of the largest size is refused by its header; nothing is kept for it.
  FrameHeader header;
  header.type = FrameType::message;
  header.sequence = 1;
  header.payload_length = payload_bytes_max;
  const auto front = encode(header);
  CHECK(refuses({front.begin(), front.end()}, "hello: the first frame is of type 3"));
}

TEST_CASE("a hello joins its session, begins one, or is told why not", "[net]") {
  const auto random = make_seeded_random(1);
  const Hello hello = some_hello();
  CHECK(admit(self, hello, nullptr, 2).kind == Admission::Kind::begin);

  Session current(SessionOptions(), self, hello, *random, 0);
  CHECK(admit(self, hello, &current, 2).kind == Admission::Kind::join);
  Hello resumes = hello;
  resumes.knows = self.incarnation;
  CHECK(admit(self, resumes, &current, 2).kind == Admission::Kind::join);

  Hello other_session = hello;
  other_session.session = {6, 7};
  CHECK(admit(self, other_session, &current, 2).kind == Admission::Kind::begin);
  other_session.from.incarnation = 4;
  CHECK(admit(self, other_session, &current, 2).kind == Admission::Kind::begin);
  other_session.from.incarnation = 2;
  CHECK(refused(other_session, &current).code == ErrorCode::fenced);

  Hello other_cluster = hello;
  other_cluster.from.cluster = {1, 3};
  CHECK(refused(other_cluster, nullptr).code == ErrorCode::peer_mismatch);
  CHECK(refused(other_cluster, nullptr).message == "node 'a': 'b' is of another cluster");

  Hello other_life = hello;
  other_life.knows = 6;
  CHECK(refused(other_life, nullptr).code == ErrorCode::peer_restarted);
  CHECK(refused(other_life, nullptr).message == "node 'a': life 6 of it is over, this is life 7");

  CHECK(refused(resumes, nullptr).code == ErrorCode::peer_down);
  Hello other_lanes = hello;
  other_lanes.lanes = 3;
  CHECK(refused(other_lanes, &current).code == ErrorCode::wire_corrupt);
  Hello other_node = hello;
  other_node.from.node = "c";
  CHECK(refused(other_node, &current).code == ErrorCode::fenced);

  Hello many_lanes = hello;
  many_lanes.lanes = 3;
  CHECK(refused(many_lanes, nullptr).code == ErrorCode::overload);
  CHECK(refused(many_lanes, nullptr).message == "node 'a': 'b' wants 3 lanes; 2 at most");

  current.replace(other_session);
  CHECK(refused(hello, &current).code == ErrorCode::peer_down);
}

TEST_CASE("a refusal is a frame that carries its reason", "[net]") {
  const auto frame = encode_refusal(Error(ErrorCode::fenced, "why").hint("fix"), 1);
  FrameReader reader;
  const auto front = reader.read(frame).value();
  CHECK(reader.header().type == FrameType::refusal);
  CHECK(reader.header().lane == 1);
  reader.accept();
  CHECK(front + reader.read(std::span(frame).subspan(front)).value() == frame.size());
  const Error reason = read_refusal(reader.take().meta.span());
  CHECK(reason.code() == ErrorCode::fenced);
  CHECK(reason.message() == "why");
  CHECK(reason.hint() == "fix");
}

}  // namespace troupe::net
