#include "outbox.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace troupe::net {

bool Outbox::takes(std::uint64_t frame_bytes) const noexcept {
  return credit_messages() > 0 && frame_bytes <= credit_bytes() &&
         unacknowledged_bytes() + frame_bytes <= window_bytes_;
}

void Outbox::push(OutgoingMessage message, std::uint64_t frame_bytes) {
  end_ += frame_bytes;
  message.sequence = offered() + 1;
  message.end = end_;
  messages_.push_back(std::move(message));
}

const OutgoingMessage* Outbox::next() const noexcept {
  return written_ < messages_.size() ? &messages_[written_] : nullptr;
}

void Outbox::wrote() noexcept {
  highest_written_ = std::max(highest_written_, messages_[written_].sequence);
  ++written_;
}

std::uint64_t Outbox::oldest_bytes() const noexcept { return messages_.front().end - acked_bytes_; }

Result<bool> Outbox::acknowledge(const FrameHeader& header) {
  if (header.ack < acked_) return false;
  if (header.ack > highest_written_)
    return Error(
        ErrorCode::wire_corrupt,
        "message " + std::to_string(header.ack) + " was acknowledged, " +
            std::to_string(highest_written_) + " is the last that was sent");
  const bool news = header.ack > acked_;
  while (acked_ < header.ack) {
    acked_bytes_ = messages_.front().end;
    messages_.pop_front();
    ++acked_;
    if (written_ > 0) --written_;
  }
  // Credit counts from what is acknowledged, so a grant may be told twice, or get lost, and no
  // credit is made or lost by it. One that is told late grants less than is known already.
  limit_ = std::max(limit_, acked_ + header.credit_messages);
  limit_bytes_ = std::max(limit_bytes_, acked_bytes_ + header.credit_bytes);
  return news;
}

Result<void> Outbox::resume(
    std::uint64_t ack, std::uint32_t credit_messages, std::uint32_t credit_bytes) {
  if (ack < acked_)
    return Error(
        ErrorCode::wire_corrupt,
        "the peer had acknowledged message " + std::to_string(acked_) + " and now knows " +
            std::to_string(ack) + " at most");
  FrameHeader header;
  header.ack = ack;
  header.credit_messages = credit_messages;
  header.credit_bytes = credit_bytes;
  if (auto known = acknowledge(header); !known) return std::move(known).error();
  written_ = 0;
  return {};
}

}  // namespace troupe::net
