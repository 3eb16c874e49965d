#pragma once

#include <troupe/core/result.hpp>

#include <cstdint>
#include <string>
#include <string_view>

namespace troupe::net {

/// Where a process listens: a host's name or address, and a port.
struct Endpoint {
  std::string host;
  std::uint16_t port = 0;  ///< 0, to listen at: any that is free

  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

/// Reads "127.0.0.1:7000", "gpu-3:7000" or "[::1]:7000".
///
/// Errors  `invalid_argument`, saying what was there and how it is written.
[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view text);
/// The same text again.
[[nodiscard]] std::string to_string(const Endpoint& endpoint);

}  // namespace troupe::net
