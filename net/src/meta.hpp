#pragma once

#include <troupe/core/progress.hpp>
#include <troupe/core/result.hpp>
#include <troupe/net/hello.hpp>

#include <cstdint>
#include <span>

namespace troupe::net {

/// What a heartbeat tells.
struct Pulse {
  Progress progress;          ///< of the sender's system
  std::uint64_t sent_ns = 0;  ///< on the sender's clock
  std::uint64_t echo_ns = 0;  ///< `sent_ns` of the last pulse that came from the receiver
  std::uint64_t held_ns = 0;  ///< how long ago that one came

  friend bool operator==(const Pulse&, const Pulse&) noexcept = default;
};

// The meta bytes of frames other than messages. What is read is checked; errors are
// `wire_corrupt`.
[[nodiscard]] Bytes write_hello(const Hello& hello);
[[nodiscard]] Bytes write_refusal(const Error& reason);
[[nodiscard]] Bytes write_pulse(const Pulse& pulse);
[[nodiscard]] Result<Hello> read_hello(const Frame& frame);
/// The peer's reason, or what is wrong with its bytes.
[[nodiscard]] Error read_refusal(std::span<const std::byte> meta);
[[nodiscard]] Result<Pulse> read_pulse(std::span<const std::byte> meta);

}  // namespace troupe::net
