#pragma once

#include <troupe/core/bytes.hpp>
#include <troupe/core/result.hpp>
#include <troupe/net/frame.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>

namespace troupe::net {

/// A message on its way out. Its payload is the sender's own, counted, not a copy.
struct OutgoingMessage {
  std::uint64_t sequence = 0;
  std::uint64_t end = 0;  ///< bytes of frames offered on the lane, this one's included
  std::uint32_t epoch = 0;
  Capability destination;
  std::uint32_t meta_length = 0;
  Bytes head;  ///< meta and checksums, as they go on the wire
  Bytes payload;
};

/// What one lane has been given to send and the peer has not acknowledged; and how much more the
/// peer lets come.
///
/// Bound     `window_bytes`, and the peer's credit.
class Outbox {
 public:
  explicit Outbox(std::uint64_t window_bytes) noexcept : window_bytes_(window_bytes) {}

  /// Whether credit and window take one more message of so many bytes.
  [[nodiscard]] bool takes(std::uint64_t frame_bytes) const noexcept;
  /// Gives the message its number and its end; to be asked for only what `takes`.
  void push(OutgoingMessage message, std::uint64_t frame_bytes);

  /// The next to be written on this connection, null if none; `wrote` moves on behind it.
  [[nodiscard]] const OutgoingMessage* next() const noexcept;
  void wrote() noexcept;
  /// Whether something written on this connection is not acknowledged.
  [[nodiscard]] bool awaits_ack() const noexcept { return written_ > 0; }
  /// Bytes of the oldest that was not acknowledged; only if there is one.
  [[nodiscard]] std::uint64_t oldest_bytes() const noexcept;

  /// What a header says of this lane. One that is older than what is known changes nothing.
  /// `wire_corrupt` for an acknowledgement of what was never written.
  /// @returns whether messages were acknowledged.
  Result<bool> acknowledge(const FrameHeader& header);
  /// The same by a hello: a new connection, on which all that is not acknowledged goes again.
  /// `wire_corrupt` when the peer forgot what it had acknowledged.
  Result<void> resume(std::uint64_t ack, std::uint32_t credit_messages, std::uint32_t credit_bytes);

  [[nodiscard]] std::uint64_t offered() const noexcept { return acked_ + messages_.size(); }
  [[nodiscard]] std::uint64_t acknowledged() const noexcept { return acked_; }
  [[nodiscard]] std::uint64_t unacknowledged_bytes() const noexcept { return end_ - acked_bytes_; }
  [[nodiscard]] std::uint64_t credit_messages() const noexcept { return limit_ - offered(); }
  [[nodiscard]] std::uint64_t credit_bytes() const noexcept { return limit_bytes_ - end_; }

 private:
  std::uint64_t window_bytes_;
  std::deque<OutgoingMessage> messages_;  // acked_ + 1 to offered()
  std::size_t written_ = 0;               // of messages_, on this connection
  std::uint64_t acked_ = 0;
  std::uint64_t acked_bytes_ = 0;
  std::uint64_t highest_written_ = 0;  // on any connection
  std::uint64_t end_ = 0;              // bytes offered
  std::uint64_t limit_ = 0;            // the last message that the peer lets come
  std::uint64_t limit_bytes_ = 0;
};

}  // namespace troupe::net
