#include <troupe/net/endpoint.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <string>

namespace troupe::testing {

TEST_CASE("an endpoint is read from text, and written as it was", "[net]") {
  const auto [text, host, port] = GENERATE(table<std::string, std::string, std::uint16_t>(
      {{"127.0.0.1:7000", "127.0.0.1", 7000},
       {"gpu-3.lab:65535", "gpu-3.lab", 65535},
       {"[::1]:0", "::1", 0}}));
  const auto endpoint = net::parse_endpoint(text);
  REQUIRE(endpoint);
  CHECK(endpoint.value() == net::Endpoint{host, port});
  CHECK(net::to_string(endpoint.value()) == text);
}

TEST_CASE("what is no endpoint is refused with how one is written", "[net]") {
  const std::string text = GENERATE(
      "", "host", ":1", "host:", "host:65536", "host:-1", "host:7x", "::1:7000", "[]:1", "host: 1");
  CAPTURE(text);
  const auto endpoint = net::parse_endpoint(text);
  REQUIRE_FALSE(endpoint);
  CHECK(endpoint.error().code() == ErrorCode::invalid_argument);
  CHECK(endpoint.error().hint().find("HOST:PORT") != std::string::npos);
}

}  // namespace troupe::testing
