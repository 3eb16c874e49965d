#include <troupe/net/certificates.hpp>
#include <troupe/net/security.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace troupe::testing {
namespace {

using net::Credentials;
using net::SecureChannel;
using net::Security;
using Role = net::SecureChannel::Role;

struct Lab {
  Credentials authority = net::make_authority("lab", 10).value();
  Credentials node(const std::string& name) const {
    return net::issue(authority, name, {"127.0.0.1", "host.lab"}, 5).value();
  }
  std::shared_ptr<const Security> security(const std::string& name) const {
    return Security::make(authority.certificate, node(name)).value();
  }
};

/// Carries what both have to say until neither has anything.
std::optional<Error> talk(SecureChannel& a, SecureChannel& b) {
  std::optional<Error> fault;
  const auto carry = [&](SecureChannel& from, SecureChannel& to) {
    const auto out = from.output();
    if (out.empty()) return false;
    const std::vector<std::byte> bytes(out.begin(), out.end());
    from.drop_output(bytes.size());
    // In pieces, as they come.
    for (std::size_t at = 0; at < bytes.size(); at += 100) {
      const auto fed =
          to.feed(std::span(bytes).subspan(at, std::min<std::size_t>(100, bytes.size() - at)));
      if (!fed && !fault) fault = fed.error();
      std::array<std::byte, 1> none{};
      if (fed)
        if (const auto read = to.read(none); !read && !fault) fault = read.error();
    }
    return true;
  };
  while (carry(a, b) || carry(b, a)) {
  }
  return fault;
}

}  // namespace

TEST_CASE("two nodes of one authority know each other, and talk", "[net]") {
  const Lab lab;
  SecureChannel client(lab.security("one"), Role::dials);
  SecureChannel server(lab.security("two"), Role::listens);
  CHECK_FALSE(talk(client, server));
  REQUIRE(client.greeted());
  REQUIRE(server.greeted());
  CHECK(client.peer() == "two");
  CHECK(server.peer() == "one");
  CHECK(client.stands_for("127.0.0.1"));
  CHECK(client.stands_for("host.lab"));
  CHECK_FALSE(client.stands_for("host.elsewhere"));
  std::vector<std::byte> words(100'000, std::byte{42});
  REQUIRE(client.write(words));
  const std::vector<std::byte> sealed(client.output().begin(), client.output().end());
  CHECK(sealed.size() > words.size());
  REQUIRE(server.feed(sealed));
  std::vector<std::byte> came;
  std::vector<std::byte> part(7000);
  for (;;) {
    const std::size_t count = server.read(part).value();
    if (count == 0) break;
    came.insert(came.end(), part.begin(), part.begin() + static_cast<std::ptrdiff_t>(count));
  }
  CHECK(came == words);
}

TEST_CASE("bytes are not fed before those of the last call were read", "[net]") {
  const Lab lab;
  SecureChannel client(lab.security("one"), Role::dials);
  SecureChannel server(lab.security("two"), Role::listens);
  REQUIRE_FALSE(talk(client, server));
  REQUIRE(client.write(std::vector<std::byte>(40'000, std::byte{42})));
  const std::vector<std::byte> sealed(client.output().begin(), client.output().end());
  const auto half = std::span(sealed).first(sealed.size() / 2);
  REQUIRE(server.feed(half));
  CHECK(server.feed(std::span(sealed).subspan(half.size())).error().code() == ErrorCode::internal);
  // The refused call changed nothing.
  std::vector<std::byte> part(50'000);
  std::size_t came = 0;
  while (const std::size_t count = server.read(part).value()) came += count;
  CHECK(came == 16'384);
  REQUIRE(server.feed(std::span(sealed).subspan(half.size())));
  while (const std::size_t count = server.read(part).value()) came += count;
  CHECK(came == 40'000);
}

TEST_CASE("a node of another authority is refused at both ends", "[net]") {
  const Lab lab;
  const Lab other;
  SecureChannel client(other.security("one"), Role::dials);
  SecureChannel server(lab.security("two"), Role::listens);
  const auto fault = talk(client, server);
  REQUIRE(fault);
  CHECK(fault->code() == ErrorCode::peer_mismatch);
  CHECK_FALSE(fault->hint().empty());
  CHECK_FALSE(client.greeted());
  CHECK_FALSE(server.greeted());
}

TEST_CASE("a client without a certificate never gets through", "[net]") {
  const Lab lab;
  const Lab other;
  // It believes the server, and has nothing that the server believes.
  const auto half = Security::make(other.authority.certificate, other.node("one")).value();
  SecureChannel client(half, Role::dials);
  SecureChannel server(lab.security("two"), Role::listens);
  CHECK(talk(client, server));
  CHECK_FALSE(server.greeted());
}

TEST_CASE("a changed byte of a record is found", "[net]") {
  const Lab lab;
  SecureChannel client(lab.security("one"), Role::dials);
  SecureChannel server(lab.security("two"), Role::listens);
  REQUIRE_FALSE(talk(client, server));
  const std::vector<std::byte> words(1000, std::byte{1});
  REQUIRE(client.write(words));
  std::vector<std::byte> sealed(client.output().begin(), client.output().end());
  sealed[GENERATE(5U, 500U, 1005U)] ^= std::byte{1};
  REQUIRE(server.feed(sealed));
  std::vector<std::byte> part(2000);
  const auto read = server.read(part);
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == ErrorCode::wire_corrupt);
}

TEST_CASE("credentials that are none say which", "[net]") {
  const Lab lab;
  const Lab other;
  const Credentials good = lab.node("one");
  const auto code_of = [&](const std::string& authority, const Credentials& node) {
    const auto made = Security::make(authority, node);
    REQUIRE_FALSE(made);
    return made.error().code();
  };
  CHECK(code_of("", good) == ErrorCode::file_corrupt);
  CHECK(code_of(lab.authority.certificate, {"", good.key}) == ErrorCode::file_corrupt);
  CHECK(code_of(lab.authority.certificate, {good.certificate, "x"}) == ErrorCode::file_corrupt);
  CHECK(
      code_of(lab.authority.certificate, {good.certificate, lab.node("two").key}) ==
      ErrorCode::file_mismatch);
  CHECK(code_of(other.authority.certificate, good) == ErrorCode::file_mismatch);
}

}  // namespace troupe::testing
