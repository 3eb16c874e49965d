#include "inbox.hpp"

#include <algorithm>
#include <string>

namespace troupe::net {

Result<bool> Inbox::expects(const FrameHeader& header) const {
  if (header.sequence <= received_) return false;
  if (header.sequence > received_ + 1)
    return Error(
        ErrorCode::wire_corrupt,
        "message " + std::to_string(header.sequence) + " came where " +
            std::to_string(received_ + 1) + " was expected");
  if (header.sequence > released_ + messages_max_ ||
      received_bytes_ + frame_bytes(header) > released_bytes_ + bytes_max_)
    return Error(
        ErrorCode::overload,
        "message " + std::to_string(header.sequence) + " of " +
            std::to_string(frame_bytes(header)) + " bytes came without credit");
  return true;
}

void Inbox::arrived(const FrameHeader& header, std::int64_t now_ns) noexcept {
  received_ = header.sequence;
  received_bytes_ += frame_bytes(header);
  const bool many = received_ - told_ >= ack_frames || received_bytes_ - told_bytes_ >= ack_bytes;
  ack_at_ns_ = std::min(ack_at_ns_, many ? 0 : now_ns + ack_delay_ns_);
}

void Inbox::release(std::uint64_t frame_bytes, std::int64_t now_ns) noexcept {
  ++released_;
  released_bytes_ += frame_bytes;
  const bool much = 4 * (released_ - told_released_) >= messages_max_ ||
                    4 * (released_bytes_ - told_released_bytes_) >= bytes_max_;
  ack_at_ns_ = std::min(ack_at_ns_, much ? 0 : now_ns + ack_delay_ns_);
}

void Inbox::tell(FrameHeader& header) noexcept {
  header.ack = told_ = received_;
  told_bytes_ = received_bytes_;
  told_released_ = released_;
  told_released_bytes_ = released_bytes_;
  header.credit_messages = static_cast<std::uint32_t>(released_ + messages_max_ - received_);
  header.credit_bytes = static_cast<std::uint32_t>(released_bytes_ + bytes_max_ - received_bytes_);
  ack_at_ns_ = never;
}

}  // namespace troupe::net
