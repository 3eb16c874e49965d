#pragma once

#include <troupe/core/result.hpp>
#include <troupe/net/frame.hpp>

#include <cstdint>
#include <limits>

namespace troupe::net {

/// How far one lane has come in; what the peer may still send; and when to tell it.
///
/// Credit    what is not released stays under `messages_max` and `bytes_max`, however fast the peer
///           is. Counted from the acknowledged message, so that a header told twice grants nothing
///           twice.
/// Acks      cumulative: after `ack_frames` or `ack_bytes`, or `ack_delay_ns` after the first that
///           was not told; at once for a duplicate, and when a quarter of the credit was released.
class Inbox {
 public:
  static constexpr std::uint32_t ack_frames = 64;
  static constexpr std::uint32_t ack_bytes = 1U << 20;
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  Inbox(std::uint32_t messages_max, std::uint32_t bytes_max, std::int64_t ack_delay_ns) noexcept
      : messages_max_(messages_max), bytes_max_(bytes_max), ack_delay_ns_(ack_delay_ns) {}

  /// What to do with a message, by its header: true: it is the next; false: it came before.
  /// `wire_corrupt` when one before it is missing, `overload` when the peer had no credit for it.
  [[nodiscard]] Result<bool> expects(const FrameHeader& header) const;
  /// The next message is whole.
  void arrived(const FrameHeader& header, std::int64_t now_ns) noexcept;
  /// The peer may not know what it was told.
  void tell_again() noexcept { ack_at_ns_ = 0; }
  /// Messages that arrived are dealt with: the peer may send others in their place.
  void release(std::uint64_t frame_bytes, std::int64_t now_ns) noexcept;

  /// When an acknowledgement is due; `never` when the peer knows all.
  [[nodiscard]] std::int64_t ack_at_ns() const noexcept { return ack_at_ns_; }
  /// Writes acknowledgement and credit into a header that is now sent.
  void tell(FrameHeader& header) noexcept;

  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  [[nodiscard]] std::uint64_t held_bytes() const noexcept {
    return received_bytes_ - released_bytes_;
  }

 private:
  std::uint32_t messages_max_;
  std::uint32_t bytes_max_;
  std::int64_t ack_delay_ns_;
  std::uint64_t received_ = 0;  // messages
  std::uint64_t received_bytes_ = 0;
  std::uint64_t released_ = 0;  // messages
  std::uint64_t released_bytes_ = 0;
  std::uint64_t told_ = 0;  // as received_, released_ and so on, when last told
  std::uint64_t told_bytes_ = 0;
  std::uint64_t told_released_ = 0;
  std::uint64_t told_released_bytes_ = 0;
  std::int64_t ack_at_ns_ = never;
};

}  // namespace troupe::net
