#include "cluster.hpp"
#include "support/memory.hpp"

#include <troupe/core/random.hpp>
#include <troupe/net/security.hpp>
#include <troupe/net/session.hpp>

#include <arpa/inet.h>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::testing {
namespace {

/// Connections that never say who they are, and come again when they are closed: a third says
/// nothing, a third half of a TLS greeting, a third a byte of it from time to time.
class Crowd {
 public:
  Crowd(const Endpoint& at, std::size_t count, std::vector<std::byte> greeting)
      : port_(at.port), greeting_(std::move(greeting)), members_(count) {
    thread_ = std::thread([this] { run(); });
  }
  ~Crowd() {
    stopping_ = true;
    thread_.join();
    for (const Member& member : members_)
      if (member.socket >= 0) ::close(member.socket);
  }
  /// Connections made since the beginning.
  [[nodiscard]] std::size_t made() const noexcept { return made_; }

 private:
  struct Member {
    int socket = -1;
    std::size_t said = 0;
  };

  void come(Member& member) {
    member = {::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 0};
    if (member.socket < 0) return;
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)::connect(member.socket, reinterpret_cast<const sockaddr*>(&to), sizeof to);
    ++made_;
  }
  void say(Member& member, std::size_t count) {
    count = std::min(count, greeting_.size() - 1 - member.said);
    const ssize_t sent =
        ::send(member.socket, greeting_.data() + member.said, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) member.said += static_cast<std::size_t>(sent);
  }
  void run() {
    for (std::size_t i = 0; !stopping_; ++i) {
      Member& member = members_[i % members_.size()];
      char byte = 0;
      const bool closed = member.socket >= 0 && ::recv(member.socket, &byte, 1, MSG_DONTWAIT) == 0;
      if (closed) ::close(member.socket);
      if (closed || member.socket < 0) come(member);
      if (member.socket >= 0 && i % 3 == 1 && member.said == 0) say(member, greeting_.size() / 2);
      if (member.socket >= 0 && i % 3 == 2) say(member, 1);
      if (i % 16 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::uint16_t port_;
  std::vector<std::byte> greeting_;
  std::vector<Member> members_;
  std::atomic<std::size_t> made_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace

// Goal: promise 5: a thousand connections that drip cost less than 16 MiB, and one who belongs here
// joins within a second all the same.
TEST_CASE("a crowd of strangers costs little, and keeps nobody out", "[net][proof]") {
  const net::Credentials authority = net::make_authority("lab", 10).value();
  Node server("there", security_of(authority, "there"));
  const Endpoint at = server.network->listen({"127.0.0.1", 0});
  const auto join = [&](const std::string& name) {
    const auto began = std::chrono::steady_clock::now();
    Node client(name, security_of(authority, name));
    CHECK(client.network->connect(at, "there").get().node == "there");
    return std::chrono::steady_clock::now() - began;
  };
  (void)join("first");  // what a first connection needs once
  net::SecureChannel one(security_of(authority, "none"), net::SecureChannel::Role::dials);
  const std::size_t before = resident_bytes();
  const Crowd crowd(at, 1000, {one.output().begin(), one.output().end()});
  std::size_t most = 0;
  auto slowest = std::chrono::steady_clock::duration::zero();
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  for (int i = 0; std::chrono::steady_clock::now() < until; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    most = std::max(most, resident_bytes());
    slowest = std::max(slowest, join("peer-" + std::to_string(i)));
  }
  const std::size_t grown = most > before ? most - before : 0;
  std::printf(
      "%zu strangers came, 1000 at once: %.1f MiB; a peer joined in %.0f ms at most\n",
      crowd.made(),
      static_cast<double>(grown) / (1U << 20),
      std::chrono::duration<double, std::milli>(slowest).count());
  CHECK(crowd.made() >= 1000);
  CHECK(slowest < std::chrono::seconds(1));
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(grown < (16U << 20));
#endif
}

// What strangers send reaches nobody: there is no peer, and no message was looked at.
TEST_CASE("who does not prove who he is is no peer", "[net][proof]") {
  const net::Credentials authority = net::make_authority("lab", 10).value();
  Node server("there", security_of(authority, "there"));
  const Endpoint at = server.network->listen({"127.0.0.1", 0});
  Node plain("here", {});
  CHECK_THROWS_AS(plain.network->connect(at).get(), Error);
  Node other("here", security_of(net::make_authority("lab", 10).value(), "here"));
  CHECK_THROWS_AS(other.network->connect(at).get(), Error);
  CHECK(server.network->peers().empty());
  CHECK(server.log.empty());  // not even a word for a decoder to complain of
}

// A certificate is good for its own name alone: a node that proved who it is cannot greet as
// another.
TEST_CASE("a node cannot greet by another's name", "[net][proof]") {
  const net::Credentials authority = net::make_authority("lab", 10).value();
  Node server("there", security_of(authority, "there"));
  const Endpoint at = server.network->listen({"127.0.0.1", 0});
  const auto security = security_of(authority, "here");
  const std::string name = GENERATE("here", "else");
  CAPTURE(name);
  const auto random = make_seeded_random(1);
  net::Session session({}, {security->cluster(), name, 1}, "there", *random, 0);
  REQUIRE(session.wish(0, 0) == net::Session::Wish::connect);
  session.on_connected(0, "there", 0);
  const auto hello = session.next_write(0, 0);
  REQUIRE(hello);

  net::SecureChannel channel(security, net::SecureChannel::Role::dials);
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(at.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::connect(socket, reinterpret_cast<const sockaddr*>(&to), sizeof to) == 0);
  const timeval patience{1, 0};
  (void)::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  bool wrote = false;
  std::array<std::byte, 4096> part{};
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (std::chrono::steady_clock::now() < until) {
    if (channel.greeted() && !std::exchange(wrote, true))
      for (const auto span : hello->spans) REQUIRE(channel.write(span));
    const auto out = channel.output();
    if (!out.empty()) (void)::send(socket, out.data(), out.size(), MSG_NOSIGNAL);
    channel.drop_output(out.size());
    if (wrote && (!server.network->peers().empty() || server.logged("turned away") > 0)) break;
    const ssize_t count = ::recv(socket, part.data(), part.size(), 0);
    if (count > 0) REQUIRE(channel.feed(std::span(part).first(static_cast<std::size_t>(count))));
  }
  CHECK(wrote);
  CHECK(server.network->peers().size() == (name == "here" ? 1 : 0));
  CHECK(server.logged("'else' has the certificate of 'here'") == (name == "else" ? 1 : 0));
  ::close(socket);
}

}  // namespace troupe::testing
