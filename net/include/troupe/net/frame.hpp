#pragma once

#include <troupe/core/buffers.hpp>
#include <troupe/core/bytes.hpp>
#include <troupe/core/result.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace troupe::net {

/// 128 bits that nobody guesses: a cluster, a session, or the right to send to one actor.
struct Id128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend bool operator==(const Id128&, const Id128&) noexcept = default;
};
using Capability = Id128;

/// What a frame is for; stable numbers.
enum class FrameType : std::uint8_t {
  hello = 1,      ///< the first frame on a connection, either way
  refusal = 2,    ///< the answer to a hello that is not welcome, and why
  message = 3,    ///< the only one with a sequence number, credit of its own, and a payload
  ack = 4,        ///< nothing but what every header carries
  heartbeat = 5,  ///< the sender lives, and how far its scheduler is
  fenced = 6,     ///< a message of an old epoch came and was dropped
  goodbye = 7,    ///< the session ends as wished
};

/// What stands before every frame: 64 bytes, little-endian, ended by a checksum of their own.
///
///      0  magic "TRPF"     24  credit_messages     44  destination
///      4  version          28  credit_bytes        60  CRC-32C of bytes 0 to 59
///      5  type             32  epoch
///      6  flags, 0 so far  36  meta_length
///      7  lane             40  payload_length
///      8  sequence
///     16  ack
///
/// Behind it come the meta bytes (a small struct), their CRC-32C if there are any, the CRC-32C of
/// each MiB of the payload, and the payload: a message's tensor bytes, as they lie in memory.
struct FrameHeader {
  FrameType type = FrameType::ack;
  std::uint8_t lane = 0;
  std::uint64_t sequence = 0;         ///< a message's number in its lane, from 1; else 0
  std::uint64_t ack = 0;              ///< this message of the lane came, and all before it
  std::uint32_t credit_messages = 0;  ///< how many messages after `ack` may be sent
  std::uint32_t credit_bytes = 0;     ///< how many bytes of frames after `ack` may be sent
  std::uint32_t epoch = 0;            ///< the sender's; for a message, when it was offered
  Capability destination;             ///< whose message it is
  std::uint32_t meta_length = 0;
  std::uint32_t payload_length = 0;

  friend bool operator==(const FrameHeader&, const FrameHeader&) noexcept = default;
};

inline constexpr std::size_t header_bytes = 64;
inline constexpr std::uint8_t wire_version = 1;
inline constexpr unsigned lanes_max = 16;
inline constexpr std::uint32_t meta_bytes_max = 64U << 10;
inline constexpr std::uint32_t payload_bytes_max = 256U << 20;
inline constexpr std::uint32_t checked_block_bytes = 1U << 20;

/// Bytes that follow the header: meta, checksums, payload.
[[nodiscard]] std::uint64_t body_bytes(const FrameHeader& header) noexcept;
/// Bytes of the whole frame: what it costs in credit and in the window.
[[nodiscard]] inline std::uint64_t frame_bytes(const FrameHeader& header) noexcept {
  return header_bytes + body_bytes(header);
}

[[nodiscard]] std::array<std::byte, header_bytes> encode(const FrameHeader& header) noexcept;

/// Reads a header, looking at nothing that is not known to be whole: magic and version, which say
/// where the checksum is, the checksum, a known type, lengths that the type may have.
///
/// Errors  `peer_mismatch` for what is no Troupe or another version of it; else `wire_corrupt`,
///         naming the byte.
[[nodiscard]] Result<FrameHeader> decode_header(std::span<const std::byte, header_bytes> bytes);

/// What stands between header and payload: the meta bytes and the checksums of both.
[[nodiscard]] Bytes encode_body_head(
    std::span<const std::byte> meta, std::span<const std::byte> payload);

/// Where bytes may be read to, so that they come to lie where they stay; and what keeps it alive.
struct Room {
  std::span<std::byte> bytes;
  std::shared_ptr<const void> owner;
};

struct Frame {
  FrameHeader header;
  bool skipped = false;  ///< the body passed by: there are neither meta nor payload
  Bytes meta;
  Bytes payload;  ///< begins at a multiple of 64 bytes
};

/// Takes a connection's bytes, in pieces of any size, apart into frames.
///
/// Memory    64 bytes until `accept()`, which the owner calls when header, credit and quota allow
///           the frame; then what the header says. The payload's place, one of `buffers`, comes
///           once the meta bytes have proved whole.
/// Errors    those of `decode_header`; `wire_corrupt` for a body that fails its checksum;
///           `out_of_memory`. After an error only `reset()` makes sense.
class FrameReader {
 public:
  enum class State : std::uint8_t {
    header,  ///< wants more bytes
    decide,  ///< a sound header is there: `accept()` or `skip()`
    body,    ///< wants more bytes
    done,    ///< a frame is whole: `take()`
  };

  explicit FrameReader(std::shared_ptr<Buffers> buffers = std::make_shared<Buffers>(0))
      : buffers_(std::move(buffers)) {}

  /// Uses bytes up to the next `decide` or `done`. @returns how many.
  Result<std::size_t> read(std::span<const std::byte> bytes);
  /// Where the payload goes on, while there is one under way, and what keeps that memory, also
  /// after `reset()`. Bytes that `read` is given from its beginning are not copied.
  [[nodiscard]] Room room() const;
  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] const FrameHeader& header() const noexcept { return header_; }

  void accept();
  /// Lets the body pass by, without keeping or checking it.
  void skip() noexcept;
  [[nodiscard]] Frame take();
  void reset() noexcept { *this = FrameReader(std::move(buffers_)); }

 private:
  [[nodiscard]] Result<void> end_head();
  [[nodiscard]] Result<void> check_blocks();
  void begin_payload();

  std::shared_ptr<Buffers> buffers_;
  State state_ = State::header;
  bool skipping_ = false;
  std::array<std::byte, header_bytes> raw_{};
  std::uint64_t filled_ = 0;  // bytes of the header; then of the body
  FrameHeader header_;
  std::vector<std::byte> head_;  // meta and checksums
  std::shared_ptr<std::byte> payload_;
  std::uint64_t checked_ = 0;   // bytes of the payload
  std::uint32_t checksum_ = 0;  // of the block that they end in
};

}  // namespace troupe::net
