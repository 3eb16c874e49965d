#include "crc32c.hpp"
#include "little_endian.hpp"

#include <troupe/net/frame.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace troupe::net {
namespace {

using Raw = std::array<std::byte, header_bytes>;
using State = FrameReader::State;

/// A message's header, byte by byte as the table in frame.hpp has it.
Raw by_hand() {
  Raw raw{};
  const auto put = [&raw](std::size_t at, std::initializer_list<unsigned> bytes) {
    for (const unsigned byte : bytes) raw[at++] = static_cast<std::byte>(byte);
  };
  put(0, {'T', 'R', 'P', 'F', 1, 3, 0, 2});
  put(8, {0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01});
  put(16, {0x09, 0, 0, 0, 0, 0, 0, 0});
  put(24, {0x0a, 0x01, 0, 0, 0x0b, 0, 0x02, 0});
  put(32, {0x0c, 0, 0, 0, 5, 0, 0, 0, 0x03, 0, 0x10, 0});
  put(44, {0x11, 0, 0, 0, 0, 0, 0, 0x80, 0x22, 0, 0, 0, 0, 0, 0, 0x40});
  put_number(raw.data() + 60, crc32c(std::span(raw).first<60>()));
  return raw;
}

FrameHeader spelled_out() {
  FrameHeader header;
  header.type = FrameType::message;
  header.lane = 2;
  header.sequence = 0x0102030405060708;
  header.ack = 9;
  header.credit_messages = 0x010a;
  header.credit_bytes = 0x02000b;
  header.epoch = 12;
  header.destination = {0x8000000000000011, 0x4000000000000022};
  header.meta_length = 5;
  header.payload_length = 0x100003;
  return header;
}

/// The header with some of its bytes changed and the checksum made to fit again.
Result<FrameHeader> decode_changed(const std::function<void(Raw&)>& change) {
  Raw raw = by_hand();
  change(raw);
  put_number(raw.data() + 60, crc32c(std::span(raw).first<60>()));
  return decode_header(raw);
}

std::vector<std::byte> some_bytes(std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::byte>(i * 7 + (i >> 8));
  return bytes;
}

std::vector<std::byte> whole_frame(FrameHeader header, std::size_t meta, std::size_t payload) {
  header.meta_length = static_cast<std::uint32_t>(meta);
  header.payload_length = static_cast<std::uint32_t>(payload);
  const auto meta_bytes = some_bytes(meta);
  const auto payload_bytes = some_bytes(payload);
  const Raw front = encode(header);
  const Bytes head = encode_body_head(meta_bytes, payload_bytes);
  std::vector<std::byte> frame(front.begin(), front.end());
  frame.insert(frame.end(), head.span().begin(), head.span().end());
  frame.insert(frame.end(), payload_bytes.begin(), payload_bytes.end());
  return frame;
}

/// Reads one frame in pieces of this size; nothing when it is not whole.
Result<std::optional<Frame>> read_in_pieces(std::span<const std::byte> bytes, std::size_t piece) {
  FrameReader reader;
  while (true) {
    if (reader.state() == State::decide) {
      reader.accept();
    } else if (reader.state() == State::done) {
      return std::optional<Frame>(reader.take());
    } else if (bytes.empty()) {
      return std::optional<Frame>();
    } else {
      auto used = reader.read(bytes.first(std::min(piece, bytes.size())));
      if (!used) return std::move(used).error();
      bytes = bytes.subspan(used.value());
    }
  }
}

}  // namespace

TEST_CASE("a header's bytes lie where the table says", "[net]") {
  CHECK(encode(spelled_out()) == by_hand());
  const auto header = decode_header(by_hand());
  REQUIRE(header.ok());
  CHECK(header.value() == spelled_out());
  CHECK(body_bytes(header.value()) == 5 + 4 + 2 * 4 + 0x100003);
}

TEST_CASE("every flipped bit of a header is found", "[net]") {
  for (std::size_t bit = 0; bit < 8 * header_bytes; ++bit) {
    Raw raw = by_hand();
    raw[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    const auto header = decode_header(raw);
    REQUIRE(!header.ok());
    const bool front = bit / 8 < 5;  // magic and version
    CHECK(header.error().code() == (front ? ErrorCode::peer_mismatch : ErrorCode::wire_corrupt));
  }
}

TEST_CASE("a header that says what may not be is refused, naming the byte", "[net]") {
  const auto refused = [](std::size_t at, const std::function<void(Raw&)>& change) {
    const auto header = decode_changed(change);
    REQUIRE(!header.ok());
    CHECK(header.error().message().starts_with("frame: at byte " + std::to_string(at) + ": "));
    return header.error().code() == ErrorCode::wire_corrupt;
  };
  const auto set = [](std::size_t at, std::uint64_t value, std::size_t bytes) {
    return [=](Raw& raw) {
      for (std::size_t i = 0; i < bytes; ++i) raw[at + i] = static_cast<std::byte>(value >> 8 * i);
    };
  };
  CHECK(refused(5, set(5, 0, 1)));
  CHECK(refused(5, set(5, 8, 1)));
  CHECK(refused(6, set(6, 1, 1)));
  CHECK(refused(7, set(7, lanes_max, 1)));
  CHECK(refused(8, set(8, 0, 8)));
  CHECK(refused(36, set(36, meta_bytes_max + 1, 4)));
  CHECK(refused(40, set(40, payload_bytes_max + 1, 4)));
  CHECK(decode_changed(set(36, meta_bytes_max, 4)).ok());
  CHECK(decode_changed(set(40, payload_bytes_max, 4)).ok());

  // What is no message has neither number nor payload nor destination, and meta only if it must.
  const auto bare = [](FrameType type, std::uint32_t meta) {
    return [=](Raw& raw) {
      std::fill(raw.begin() + 8, raw.begin() + 60, std::byte{0});
      raw[5] = static_cast<std::byte>(type);
      raw[36] = static_cast<std::byte>(meta);
    };
  };
  const auto and_set = [](auto first, std::size_t at) {
    return [=](Raw& raw) {
      first(raw);
      raw[at] = std::byte{1};
    };
  };
  for (const FrameType type :
       {FrameType::hello,
        FrameType::refusal,
        FrameType::ack,
        FrameType::heartbeat,
        FrameType::fenced,
        FrameType::goodbye}) {
    const bool meta =
        type == FrameType::hello || type == FrameType::refusal || type == FrameType::heartbeat;
    CHECK(decode_changed(bare(type, meta ? 1 : 0)).ok());
    CHECK(refused(36, bare(type, meta ? 0 : 1)));
    CHECK(refused(8, and_set(bare(type, meta ? 1 : 0), 8)));
    CHECK(refused(40, and_set(bare(type, meta ? 1 : 0), 40)));
    CHECK(refused(44, and_set(bare(type, meta ? 1 : 0), 44)));
    CHECK(refused(44, and_set(bare(type, meta ? 1 : 0), 59)));
  }
}

TEST_CASE("another protocol and another version are told from damage", "[net]") {
  Raw other{};
  const std::string get = "GET / HTTP/1.1\r\n";
  std::copy_n(std::as_bytes(std::span(get)).begin(), get.size(), other.begin());
  const auto stranger = decode_header(other);
  REQUIRE(!stranger.ok());
  CHECK(stranger.error().code() == ErrorCode::peer_mismatch);
  CHECK(stranger.error().message() == "frame: at byte 0: this is not Troupe's protocol");

  const auto newer = decode_changed([](Raw& raw) { raw[4] = std::byte{2}; });
  REQUIRE(!newer.ok());
  CHECK(newer.error().code() == ErrorCode::peer_mismatch);
  CHECK(
      newer.error().message() ==
      "frame: at byte 4: the peer speaks version 2 of the protocol, this is version 1");
  CHECK(!newer.error().hint().empty());
}

TEST_CASE("a frame comes back whole from pieces of any size", "[net]") {
  FrameHeader header = spelled_out();
  struct Lengths {
    std::size_t meta, payload;
  };
  for (const auto& [meta, payload] :
       {Lengths{0, 0},
        {1, 0},
        {0, 1},
        {17, 100},
        {meta_bytes_max, 0},
        {3, checked_block_bytes},
        {3, checked_block_bytes + 1},
        {0, 2 * checked_block_bytes + 5}}) {
    const auto bytes = whole_frame(header, meta, payload);
    header.meta_length = static_cast<std::uint32_t>(meta);
    header.payload_length = static_cast<std::uint32_t>(payload);
    CHECK(bytes.size() == frame_bytes(header));
    for (const std::size_t piece :
         {std::size_t{1}, std::size_t{63}, std::size_t{4096}, bytes.size()}) {
      if (bytes.size() / piece > 100'000) continue;
      const auto read = read_in_pieces(bytes, piece);
      REQUIRE(read.ok());
      REQUIRE(read.value());
      const Frame& frame = *read.value();
      CHECK(frame.header == header);
      CHECK(!frame.skipped);
      CHECK(std::ranges::equal(frame.meta.span(), some_bytes(meta)));
      CHECK(std::ranges::equal(frame.payload.span(), some_bytes(payload)));
      CHECK(reinterpret_cast<std::uintptr_t>(frame.payload.span().data()) % 64 == 0);
    }
  }
}

TEST_CASE("a frame that ends early at any byte is not whole", "[net]") {
  const auto bytes = whole_frame(spelled_out(), 9, 30);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    const auto read = read_in_pieces(std::span(bytes).first(length), 16);
    REQUIRE(read.ok());
    CHECK(!read.value());
  }
}

TEST_CASE("every flipped bit of a body is found", "[net]") {
  const auto bytes = whole_frame(spelled_out(), 9, 30);
  for (std::size_t bit = 8 * header_bytes; bit < 8 * bytes.size(); ++bit) {
    auto damaged = bytes;
    damaged[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
    const auto read = read_in_pieces(damaged, damaged.size());
    REQUIRE(!read.ok());
    CHECK(read.error().code() == ErrorCode::wire_corrupt);
  }
  // Each block by its own checksum, named by where it begins.
  auto large = whole_frame(spelled_out(), 0, 3 * std::size_t{checked_block_bytes});
  large[header_bytes + 12 + checked_block_bytes + 5] ^= std::byte{1};
  const auto read = read_in_pieces(large, 100'000);
  REQUIRE(!read.ok());
  CHECK(
      read.error().message() == "frame: at byte " +
                                    std::to_string(header_bytes + 12 + checked_block_bytes) +
                                    ": a block does not fit its checksum");
}

TEST_CASE("a skipped frame passes by and the next one is read", "[net]") {
  auto bytes = whole_frame(spelled_out(), 9, 3000);
  const std::size_t first = bytes.size();
  const auto second = whole_frame(spelled_out(), 2, 1);
  bytes.insert(bytes.end(), second.begin(), second.end());
  bytes[header_bytes + 100] ^= std::byte{1};  // not even looked at

  FrameReader reader;
  std::size_t at = 0;
  const auto read_on = [&] {
    while (reader.state() == State::header || reader.state() == State::body)
      at += reader.read(std::span(bytes).subspan(at, std::min<std::size_t>(500, bytes.size() - at)))
                .value();
  };
  read_on();
  reader.skip();
  read_on();
  CHECK(at == first);
  const Frame skipped = reader.take();
  CHECK(skipped.skipped);
  CHECK(skipped.payload.size() == 0);
  read_on();
  reader.accept();
  read_on();
  CHECK(at == bytes.size());
  CHECK(reader.take().meta.size() == 2);
}

// Goal: what is read into the reader's room stays there, and the room outlives the frame.
// Method: two frames of which only what is not payload comes from elsewhere; a third is given up.
TEST_CASE("a payload that is read into its room is not copied", "[net]") {
  const std::size_t size = checked_block_bytes + 1000;
  const auto bytes = whole_frame(spelled_out(), 9, size);
  const std::size_t front = bytes.size() - size;
  FrameReader reader(std::make_shared<Buffers>(4U << 20));
  const auto read_front = [&] {
    CHECK(reader.room().bytes.empty());
    REQUIRE(reader.read(std::span(bytes).first(header_bytes)).ok());
    CHECK(reader.room().bytes.empty());
    reader.accept();
    CHECK(reader.room().bytes.empty());
    REQUIRE(reader.read(std::span(bytes).subspan(header_bytes, front - header_bytes + 5)).ok());
    CHECK(reader.room().bytes.size() == size - 5);
  };
  const auto read_piece = [&](std::size_t piece) {
    const auto room = reader.room().bytes;
    const auto from = std::span(bytes).last(room.size()).first(std::min(piece, room.size()));
    std::copy(from.begin(), from.end(), room.begin());
    CHECK(reader.read(room.first(from.size())).value() == from.size());
  };
  const std::byte* first = nullptr;
  for (int i = 0; i < 2; ++i) {
    read_front();
    const std::byte* const where = reader.room().bytes.data() - 5;
    if (i == 0) first = where;
    CHECK(where == first);  // nobody holds the one before
    while (reader.state() == State::body) read_piece(300'000);
    const Frame frame = reader.take();
    CHECK(frame.payload.span().data() == where);
    CHECK(std::equal(
        bytes.begin() + static_cast<std::ptrdiff_t>(front),
        bytes.end(),
        frame.payload.span().begin()));
  }
  read_front();
  const Room room = reader.room();
  reader.reset();
  std::fill(room.bytes.begin(), room.bytes.end(), std::byte{1});
  read_front();
  CHECK(reader.room().bytes.data() != room.bytes.data());  // it may still be written to
  read_piece(size);
  CHECK(reader.state() == State::done);
}

TEST_CASE("a reader begins anew after a reset", "[net]") {
  const auto bytes = whole_frame(spelled_out(), 9, 30);
  FrameReader reader;
  REQUIRE(reader.read(std::span(bytes).first(64)).ok());
  reader.accept();
  REQUIRE(reader.read(std::span(bytes).subspan(64, 20)).ok());
  reader.reset();
  REQUIRE(reader.read(bytes).value() == header_bytes);
  reader.accept();
  REQUIRE(reader.read(std::span(bytes).subspan(64)).ok());
  CHECK(reader.take().payload.size() == 30);
}

}  // namespace troupe::net
