#include <troupe/net/endpoint.hpp>

#include <charconv>
#include <system_error>

namespace troupe::net {

Result<Endpoint> parse_endpoint(std::string_view text) {
  const auto wrong = [&](const std::string& why) {
    return Error(ErrorCode::invalid_argument, "'" + std::string(text.substr(0, 300)) + "': " + why)
        .hint("write HOST:PORT, such as 127.0.0.1:7000, gpu-3:7000 or [::1]:7000");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return wrong("there is no port");
  std::string_view host = text.substr(0, colon);
  if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return wrong("an address with colons stands in brackets");
  }
  if (host.empty()) return wrong("there is no host");
  if (host.size() > 253) return wrong("no host has a name that long");
  const std::string_view digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size())
    return wrong("a port is a number from 0 to 65535");
  return Endpoint{std::string(host), port};
}

std::string to_string(const Endpoint& endpoint) {
  const bool colons = endpoint.host.find(':') != std::string::npos;
  return (colons ? "[" + endpoint.host + "]" : endpoint.host) + ":" + std::to_string(endpoint.port);
}

}  // namespace troupe::net
