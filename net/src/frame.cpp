#include "crc32c.hpp"
#include "little_endian.hpp"

#include <troupe/net/frame.hpp>

#include <algorithm>
#include <new>
#include <string>
#include <utility>

namespace troupe::net {

namespace {

constexpr std::uint32_t magic = 0x46505254;  // "TRPF"
constexpr std::size_t checksum_at = header_bytes - 4;

Error corrupt(std::size_t at, const std::string& reason) {
  return {ErrorCode::wire_corrupt, "frame: at byte " + std::to_string(at) + ": " + reason};
}

std::uint64_t blocks_of(const FrameHeader& header) noexcept {
  return (std::uint64_t{header.payload_length} + checked_block_bytes - 1) / checked_block_bytes;
}

std::uint64_t head_bytes(const FrameHeader& header) noexcept {
  const std::uint64_t meta = header.meta_length;
  return meta + (meta > 0 ? 4 : 0) + 4 * blocks_of(header);
}

bool has_meta(FrameType type) noexcept {
  return type == FrameType::hello || type == FrameType::refusal || type == FrameType::heartbeat;
}

/// Everything about a header that is told by the header alone.
Result<void> check(const FrameHeader& header, std::uint8_t flags) {
  if (header.type < FrameType::hello || header.type > FrameType::goodbye)
    return corrupt(5, "unknown type " + std::to_string(static_cast<int>(header.type)));
  if (flags != 0) return corrupt(6, "unknown flags " + std::to_string(flags));
  if (header.lane >= lanes_max) return corrupt(7, "lane " + std::to_string(header.lane));
  const bool message = header.type == FrameType::message;
  if (message != (header.sequence > 0))
    return corrupt(8, message ? "a message without a number" : "a number on what is no message");
  if (header.meta_length > meta_bytes_max)
    return corrupt(
        36,
        std::to_string(header.meta_length) + " meta bytes, " + std::to_string(meta_bytes_max) +
            " at most");
  if (!message && (header.meta_length > 0) != has_meta(header.type))
    return corrupt(36, std::to_string(header.meta_length) + " meta bytes on such a frame");
  if (header.payload_length > (message ? payload_bytes_max : 0))
    return corrupt(40, "a payload of " + std::to_string(header.payload_length) + " bytes");
  if (!message && header.destination != Capability{})
    return corrupt(44, "a destination on what is no message");
  return {};
}

}  // namespace

std::uint64_t body_bytes(const FrameHeader& header) noexcept {
  return head_bytes(header) + header.payload_length;
}

std::array<std::byte, header_bytes> encode(const FrameHeader& header) noexcept {
  std::array<std::byte, header_bytes> bytes{};
  std::byte* const at = bytes.data();
  put_number(at, magic);
  put_number(at + 4, wire_version);
  put_number(at + 5, static_cast<std::uint8_t>(header.type));
  put_number(at + 7, header.lane);
  put_number(at + 8, header.sequence);
  put_number(at + 16, header.ack);
  put_number(at + 24, header.credit_messages);
  put_number(at + 28, header.credit_bytes);
  put_number(at + 32, header.epoch);
  put_number(at + 36, header.meta_length);
  put_number(at + 40, header.payload_length);
  put_number(at + 44, header.destination.high);
  put_number(at + 52, header.destination.low);
  put_number(at + checksum_at, crc32c(std::span(bytes).first<checksum_at>()));
  return bytes;
}

Result<FrameHeader> decode_header(std::span<const std::byte, header_bytes> bytes) {
  const std::byte* const at = bytes.data();
  if (get_number<std::uint32_t>(at) != magic)
    return Error(ErrorCode::peer_mismatch, "frame: at byte 0: this is not Troupe's protocol")
        .hint("check the address and the port");
  if (const auto version = get_number<std::uint8_t>(at + 4); version != wire_version)
    return Error(
               ErrorCode::peer_mismatch,
               "frame: at byte 4: the peer speaks version " + std::to_string(version) +
                   " of the protocol, this is version " + std::to_string(wire_version))
        .hint("run the same version of Troupe on both machines");
  if (get_number<std::uint32_t>(at + checksum_at) != crc32c(bytes.first<checksum_at>()))
    return corrupt(checksum_at, "the header does not fit its checksum");
  FrameHeader header;
  header.type = static_cast<FrameType>(get_number<std::uint8_t>(at + 5));
  header.lane = get_number<std::uint8_t>(at + 7);
  header.sequence = get_number<std::uint64_t>(at + 8);
  header.ack = get_number<std::uint64_t>(at + 16);
  header.credit_messages = get_number<std::uint32_t>(at + 24);
  header.credit_bytes = get_number<std::uint32_t>(at + 28);
  header.epoch = get_number<std::uint32_t>(at + 32);
  header.meta_length = get_number<std::uint32_t>(at + 36);
  header.payload_length = get_number<std::uint32_t>(at + 40);
  header.destination.high = get_number<std::uint64_t>(at + 44);
  header.destination.low = get_number<std::uint64_t>(at + 52);
  if (auto sound = check(header, get_number<std::uint8_t>(at + 6)); !sound)
    return std::move(sound).error();
  return header;
}

Bytes encode_body_head(std::span<const std::byte> meta, std::span<const std::byte> payload) {
  FrameHeader header;
  header.meta_length = static_cast<std::uint32_t>(meta.size());
  header.payload_length = static_cast<std::uint32_t>(payload.size());
  const auto size = static_cast<std::size_t>(head_bytes(header));
  std::shared_ptr<std::byte[]> head(new std::byte[size]);
  std::byte* at = std::copy(meta.begin(), meta.end(), head.get());
  const auto put_checksum = [&at](std::span<const std::byte> of) {
    put_number(at, crc32c(of));
    at += 4;
  };
  if (!meta.empty()) put_checksum(meta);
  while (!payload.empty()) {
    const auto block = payload.first(std::min<std::size_t>(payload.size(), checked_block_bytes));
    put_checksum(block);
    payload = payload.subspan(block.size());
  }
  const std::span<const std::byte> whole(head.get(), size);
  return {whole, std::move(head)};
}

Result<std::size_t> FrameReader::read(std::span<const std::byte> bytes) {
  std::size_t used = 0;
  if (state_ == State::header) {
    used = std::min<std::size_t>(header_bytes - filled_, bytes.size());
    std::copy_n(bytes.data(), used, raw_.data() + filled_);
    filled_ += used;
    if (filled_ < header_bytes) return used;
    auto header = decode_header(raw_);
    if (!header) return std::move(header).error();
    header_ = header.value();
    state_ = State::decide;
    filled_ = 0;
    return used;
  }
  if (state_ != State::body) return used;
  const std::uint64_t head = head_bytes(header_);
  const std::uint64_t whole = body_bytes(header_);
  while (used < bytes.size() && filled_ < whole) {
    const std::uint64_t until = filled_ < head ? head : whole;
    const std::size_t count = std::min<std::size_t>(until - filled_, bytes.size() - used);
    if (!skipping_) {
      std::byte* const to =
          filled_ < head ? head_.data() + filled_ : payload_.get() + (filled_ - head);
      // It is there already if it was read into `room()`.
      if (to != bytes.data() + used) std::copy_n(bytes.data() + used, count, to);
    }
    used += count;
    filled_ += count;
    if (skipping_ || filled_ < head) continue;
    if (auto sound = filled_ == head ? end_head() : check_blocks(); !sound)
      return std::move(sound).error();
  }
  if (filled_ == whole) state_ = State::done;
  return used;
}

Result<void> FrameReader::end_head() {
  const std::size_t meta = header_.meta_length;
  if (meta > 0 &&
      get_number<std::uint32_t>(head_.data() + meta) != crc32c(std::span(head_).first(meta)))
    return corrupt(header_bytes, "the meta bytes do not fit their checksum");
  try {
    begin_payload();
  } catch (const std::bad_alloc&) {
    return Error(
        ErrorCode::out_of_memory,
        "no memory for a message of " + std::to_string(header_.payload_length) + " bytes");
  }
  return {};
}

void FrameReader::begin_payload() {
  if (header_.payload_length > 0) payload_ = buffers_->take(header_.payload_length);
}

Room FrameReader::room() const {
  if (state_ != State::body || !payload_) return {};
  const std::uint64_t arrived = filled_ - head_bytes(header_);
  return {{payload_.get() + arrived, header_.payload_length - arrived}, payload_};
}

/// Piece by piece as they come, while they are in the processor's cache.
Result<void> FrameReader::check_blocks() {
  const std::uint64_t head = head_bytes(header_);
  const std::uint64_t arrived = filled_ - head;
  while (checked_ < arrived) {
    const std::uint64_t begin = checked_ / checked_block_bytes * checked_block_bytes;
    const std::uint64_t end =
        std::min<std::uint64_t>(begin + checked_block_bytes, header_.payload_length);
    const std::uint64_t until = std::min(arrived, end);
    checksum_ = crc32c({payload_.get() + checked_, until - checked_}, checksum_);
    checked_ = until;
    if (until < end) return {};
    const std::size_t expected = head - 4 * (blocks_of(header_) - begin / checked_block_bytes);
    if (get_number<std::uint32_t>(head_.data() + expected) != checksum_)
      return corrupt(header_bytes + head + begin, "a block does not fit its checksum");
    checksum_ = 0;
  }
  return {};
}

void FrameReader::accept() {
  head_.resize(head_bytes(header_));
  state_ = body_bytes(header_) == 0 ? State::done : State::body;
}

void FrameReader::skip() noexcept {
  skipping_ = true;
  state_ = body_bytes(header_) == 0 ? State::done : State::body;
}

Frame FrameReader::take() {
  Frame frame;
  frame.header = header_;
  frame.skipped = skipping_;
  if (!skipping_) {
    const std::span<const std::byte> payload(payload_.get(), header_.payload_length);
    frame.payload = {payload, std::move(payload_)};
    auto head = std::make_shared<std::vector<std::byte>>(std::move(head_));
    const auto meta = std::span<const std::byte>(*head).first(header_.meta_length);
    frame.meta = {meta, std::move(head)};
  }
  reset();
  return frame;
}

}  // namespace troupe::net
