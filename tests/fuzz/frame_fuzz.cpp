#include "expect.hpp"
#include "frames.hpp"
#include "meta.hpp"

#include <troupe/net/frame.hpp>
#include <troupe/net/hello.hpp>

namespace {

using namespace troupe;

void expect_wire_error(const Error& error) {
  fuzz::expect(
      error.code() == ErrorCode::wire_corrupt || error.code() == ErrorCode::peer_mismatch ||
          error.code() == ErrorCode::out_of_memory,
      "a refusal is one of the wire's");
  fuzz::expect(error.message().size() < 1000, "an error is no longer than a person reads");
}

void expect_meta(const net::Frame& frame) {
  const auto bytes = frame.meta.span();
  const auto same = [&](const Bytes& written) {
    fuzz::expect(std::ranges::equal(written.span(), bytes), "meta bytes come back as they were");
  };
  if (frame.header.type == net::FrameType::hello) {
    if (const auto hello = net::read_hello(frame)) same(net::write_hello(hello.value()));
  } else if (frame.header.type == net::FrameType::heartbeat) {
    if (const auto pulse = net::read_pulse(bytes)) same(net::write_pulse(pulse.value()));
  } else if (frame.header.type == net::FrameType::refusal) {
    const Error reason = net::read_refusal(bytes);
    if (reason.code() != ErrorCode::wire_corrupt) same(net::write_refusal(reason));
  }
}

/// A connection whose frames are all kept.
void read_all(std::span<const std::byte> bytes) {
  net::FrameReader reader;
  std::size_t at = 0;
  bool sound = true;
  fuzz::in_pieces(bytes, [&](std::span<const std::byte> piece) {
    while (sound) {
      if (reader.state() == net::FrameReader::State::decide) {
        // What a header asks for is not given to one that has nothing behind it.
        if (net::body_bytes(reader.header()) > bytes.size()) sound = false;
        reader.accept();
      } else if (reader.state() == net::FrameReader::State::done) {
        const net::Frame frame = reader.take();
        const auto front = net::encode(frame.header);
        fuzz::expect(
            std::ranges::equal(front, bytes.subspan(at, front.size())),
            "a header comes back as it was");
        at += net::frame_bytes(frame.header);
        expect_meta(frame);
      } else if (piece.empty()) {
        return;
      } else if (auto used = reader.read(piece)) {
        piece = piece.subspan(used.value());
      } else {
        expect_wire_error(used.error());
        sound = false;
      }
    }
  });
}

/// A connection that has not said who it is.
void receive(std::span<const std::byte> bytes) {
  net::Reception reception;
  bool ended = false;
  fuzz::in_pieces(bytes, [&](std::span<const std::byte> piece) {
    if (ended) return;
    const auto hello = reception.read(piece);
    ended = !hello || hello.value();
    if (!hello) expect_wire_error(hello.error());
  });
}

}  // namespace

// Any bytes are frames that are written alike, or a typed error; as they come, and with their
// checksums made right.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = fuzz::bytes_of(data, size);
  read_all(bytes);
  receive(bytes);
  const auto fixed = fuzz::with_right_checksums(bytes);
  read_all(fixed);
  receive(fixed);
  return 0;
}
