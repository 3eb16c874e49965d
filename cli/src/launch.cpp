#include "launch.hpp"

#include <troupe/core/error.hpp>

#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace troupe::cli {

namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value ? std::string_view(value) : std::string_view();
}

std::uint32_t number(const char* name, std::uint32_t low, std::uint32_t high) {
  const std::string_view text = variable(name);
  std::uint32_t value = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || fault != std::errc() || end != text.data() + text.size() || value < low ||
      value > high)
    throw Error(
        ErrorCode::invalid_argument,
        std::string(name) + " is '" + std::string(text) + "', but must be a number from " +
            std::to_string(low) + " to " + std::to_string(high))
        .hint("RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT belong together; --peers needs none");
  return value;
}

}  // namespace

std::optional<Launch> launch_from_environment() {
  const bool has_rank = !variable("RANK").empty();
  if (has_rank != !variable("WORLD_SIZE").empty())
    throw Error(
        ErrorCode::invalid_argument,
        has_rank ? "RANK is set, but WORLD_SIZE is not" : "WORLD_SIZE is set, but RANK is not")
        .hint("set both for a process of many; unset it for one that trains alone");
  if (!has_rank) return std::nullopt;
  constexpr std::uint32_t world_max = 65'536;
  Launch launch;
  launch.world = number("WORLD_SIZE", 1, world_max);
  launch.rank = number("RANK", 0, launch.world - 1);
  if (launch.world == 1) return std::nullopt;
  const std::string host(variable("MASTER_ADDR"));
  if (host.empty())
    throw Error(ErrorCode::invalid_argument, "MASTER_ADDR is not set, but RANK is")
        .hint("it is the host of rank 0");
  constexpr std::uint32_t port_max = 65'535;
  const bool colons = host.find(':') != std::string::npos;
  launch.master =
      (colons ? "[" + host + "]" : host) + ":" + std::to_string(number("MASTER_PORT", 1, port_max));
  return launch;
}

}  // namespace troupe::cli
