#pragma once

#include <troupe/net/security.hpp>
#include <troupe/net/transport.hpp>

#include <cstdint>
#include <functional>
#include <memory>

namespace troupe {
class Clock;
}

namespace troupe::net {

struct TcpOptions {
  /// Null: nobody proves who he is, and nothing off this machine is dialed or listened at.
  std::shared_ptr<const Security> security;
  /// Accepted connections that were not welcomed yet. One more, and the oldest is closed: who means
  /// it needs some milliseconds, who drips takes for ever.
  unsigned strangers_max = 128;
  std::int64_t stranger_ns = 5'000'000'000;  ///< until a connection must have been welcomed
};

/// TCP by Boost.Asio; over TLS 1.3 where there is a `Security`. Bytes are written by the thread
/// that has them, as far as the socket takes them, and by the transport's from there. That is a
/// thread of the system while one has nothing else to do, and otherwise one of the transport's own.
///
/// Errors  `peer_mismatch` in `on_closed`, for an end that does not prove who it is.
[[nodiscard]] std::unique_ptr<Transport> make_tcp_transport(
    const TcpOptions& options, const Clock& clock, std::function<void()> alarm);

}  // namespace troupe::net
