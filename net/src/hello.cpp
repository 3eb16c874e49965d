#include "meta.hpp"

#include <troupe/net/hello.hpp>
#include <troupe/net/session.hpp>

#include <array>
#include <string>
#include <utility>

namespace troupe::net {

Result<std::optional<Hello>> Reception::read(std::span<const std::byte> bytes) {
  const auto wrong = [](const std::string& what) {
    return Error(ErrorCode::wire_corrupt, "hello: " + what);
  };
  while (!bytes.empty()) {
    auto used = reader_.read(bytes);
    if (!used) return std::move(used).error();
    bytes = bytes.subspan(used.value());
    if (reader_.state() == FrameReader::State::decide) {
      const FrameHeader& header = reader_.header();
      if (header.type != FrameType::hello)
        return wrong("the first frame is of type " + std::to_string(static_cast<int>(header.type)));
      if (header.meta_length > hello_bytes_max)
        return wrong(std::to_string(header.meta_length) + " meta bytes");
      reader_.accept();
    }
    if (reader_.state() == FrameReader::State::done) {
      if (!bytes.empty()) return wrong("bytes behind it, before it was answered");
      auto hello = read_hello(reader_.take());
      if (!hello) return std::move(hello).error();
      return std::optional<Hello>(std::move(hello).value());
    }
  }
  return std::optional<Hello>();
}

Admission admit(
    const Identity& self, const Hello& hello, const Session* current, unsigned lanes_allowed) {
  using Kind = Admission::Kind;
  const auto refuse = [&](ErrorCode code, const std::string& why) {
    return Admission{Kind::refuse, Error(code, "node '" + self.node + "': " + why)};
  };
  const std::string& node = hello.from.node;
  if (hello.from.cluster != self.cluster) {
    Admission other = refuse(ErrorCode::peer_mismatch, "'" + node + "' is of another cluster");
    other.reason.hint("give both the certificates of one authority");
    return other;
  }
  if (hello.knows != 0 && hello.knows != self.incarnation)
    return refuse(
        ErrorCode::peer_restarted,
        "life " + std::to_string(hello.knows) + " of it is over, this is life " +
            std::to_string(self.incarnation));
  if (!current || current->id() != hello.session) {
    if (hello.knows != 0) return refuse(ErrorCode::peer_down, "the session is over");
    if (current && hello.from.incarnation < current->peer_incarnation())
      return refuse(
          ErrorCode::fenced,
          "'" + node + "' is in life " + std::to_string(current->peer_incarnation()) +
              " by now, not in " + std::to_string(hello.from.incarnation));
    if (hello.lanes > lanes_allowed) {
      Admission many = refuse(
          ErrorCode::overload,
          "'" + node + "' wants " + std::to_string(hello.lanes) + " lanes; " +
              std::to_string(lanes_allowed) + " at most");
      many.reason.hint("give both the same SessionOptions::lanes");
      return many;
    }
    return {Kind::begin, {}};
  }
  if (current->over()) return refuse(ErrorCode::peer_down, "the session is over");
  if (hello.from.incarnation != current->peer_incarnation() || node != current->peer())
    return refuse(ErrorCode::fenced, "the session is another's");
  if (hello.lanes != current->lanes())
    return refuse(ErrorCode::wire_corrupt, "a session does not change its lanes");
  return {Kind::join, {}};
}

std::vector<std::byte> encode_refusal(const Error& reason, std::uint8_t lane) {
  const Bytes meta = write_refusal(reason);
  FrameHeader header;
  header.type = FrameType::refusal;
  header.lane = lane;
  header.meta_length = static_cast<std::uint32_t>(meta.size());
  const auto front = encode(header);
  const Bytes head = encode_body_head(meta.span(), {});
  std::vector<std::byte> frame(front.begin(), front.end());
  frame.insert(frame.end(), head.span().begin(), head.span().end());
  return frame;
}

}  // namespace troupe::net
