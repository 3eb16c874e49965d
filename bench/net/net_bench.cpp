// What a message to another process costs, beside what the sockets below cost: two processes on
// this machine, medians.
//
//   hop     half of a round trip of 64 bytes, microseconds: Asio's own echo; an actor's answer to
//   an
//           actor, plain and over TLS
//   stream  one way, gigabytes a second: raw TCP in blocks of 1 MiB; messages of 1 MiB to an actor,
//           plain and over TLS
//
//   net_bench [--quick]

#include <troupe/core/system.hpp>
#include <troupe/net/certificates.hpp>
#include <troupe/net/network.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace troupe;
using Clock = std::chrono::steady_clock;
namespace asio = boost::asio;
using asio::ip::tcp;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

double median(std::vector<double> times) {
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

/// Two processes with a pipe from the child to the parent, which says the port it listens at.
template <class Child, class Parent>
double in_two_processes(Child&& child, Parent&& parent) {
  std::array<int, 2> to_parent{};
  std::array<int, 2> to_child{};
  if (pipe(to_parent.data()) != 0 || pipe(to_child.data()) != 0) std::abort();
  const pid_t id = fork();
  if (id == 0) {
    close(to_child[1]);
    child(
        [&](std::uint16_t port) { (void)!write(to_parent[1], &port, sizeof port); },
        [&] {
          char byte;
          (void)!read(to_child[0], &byte, 1);
        });
    _exit(0);
  }
  close(to_parent[1]);
  std::uint16_t port = 0;
  if (read(to_parent[0], &port, sizeof port) != sizeof port) std::abort();
  const double result = parent(port);
  close(to_child[1]);
  close(to_child[0]);
  close(to_parent[0]);
  waitpid(id, nullptr, 0);
  return result;
}

// --- Asio and the kernel

struct EchoServer : std::enable_shared_from_this<EchoServer> {
  tcp::socket socket;
  std::array<char, 64> bytes{};
  explicit EchoServer(tcp::socket accepted) : socket(std::move(accepted)) {}
  void next() {
    asio::async_read(socket, asio::buffer(bytes), [self = shared_from_this()](auto error, auto) {
      if (error) return;
      asio::async_write(self->socket, asio::buffer(self->bytes), [self](auto failed, auto) {
        if (!failed) self->next();
      });
    });
  }
};

double asio_hop_us(int rounds) {
  return in_two_processes(
      [](auto tell, auto) {
        asio::io_context io;
        tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        tell(acceptor.local_endpoint().port());
        tcp::socket socket = acceptor.accept();
        socket.set_option(tcp::no_delay(true));
        std::make_shared<EchoServer>(std::move(socket))->next();
        io.run();
      },
      [rounds](std::uint16_t port) {
        asio::io_context io;
        tcp::socket socket(io);
        socket.connect({asio::ip::address_v4::loopback(), port});
        socket.set_option(tcp::no_delay(true));
        std::array<char, 64> bytes{};
        std::vector<double> times;
        Clock::time_point begin;
        std::function<void()> next = [&] {
          begin = Clock::now();
          asio::async_write(socket, asio::buffer(bytes), [&](auto, auto) {
            asio::async_read(socket, asio::buffer(bytes), [&](auto, auto) {
              times.push_back(seconds_since(begin) * 0.5e6);
              if (times.size() < static_cast<std::size_t>(rounds)) next();
            });
          });
        };
        next();
        io.run();
        return median(std::move(times));
      });
}

double raw_stream_gb_s(std::size_t bytes) {
  return in_two_processes(
      [bytes](auto tell, auto) {
        asio::io_context io;
        tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
        tell(acceptor.local_endpoint().port());
        tcp::socket socket = acceptor.accept();
        std::vector<char> block(256U << 10);
        for (std::size_t left = bytes; left > 0;) left -= socket.read_some(asio::buffer(block));
        asio::write(socket, asio::buffer(block, 1));
      },
      [bytes](std::uint16_t port) {
        asio::io_context io;
        tcp::socket socket(io);
        socket.connect({asio::ip::address_v4::loopback(), port});
        std::vector<char> block(1U << 20);
        const auto begin = Clock::now();
        for (std::size_t sent = 0; sent < bytes; sent += block.size())
          asio::write(socket, asio::buffer(block));
        asio::read(socket, asio::buffer(block, 1));
        return static_cast<double>(bytes) / seconds_since(begin) * 1e-9;
      });
}

// --- actors

struct Parcel {
  static constexpr MessageId id{70'000};
  static constexpr std::string_view name = "parcel";
  Bytes bytes;
  Address<Parcel> reply_to;

  template <class V>
  void fields(V& visit) {
    visit.field("bytes", bytes);
    visit.field("reply_to", reply_to);
  }
};
/// 64 bytes of fields.
struct Ball {
  static constexpr MessageId id{70'001};
  static constexpr std::string_view name = "ball";
  std::array<std::uint64_t, 8> words{};

  template <class V>
  void fields(V& visit) {
    for (std::uint64_t& word : words) visit.field("word", word);
  }
};
struct Partner {
  static constexpr MessageId id{70'002};
  static constexpr std::string_view name = "partner";
  Address<Ball> address;

  template <class V>
  void fields(V& visit) {
    visit.field("address", address);
  }
};
using Known = MessageList<70'000, 70'099, Parcel, Ball, Partner>;

class Wall final : public Actor<Ball, Partner> {
 public:
  static constexpr std::string_view name = "wall";

 private:
  friend ActorAccess;
  void on(Ball&& ball) { partner_.send(std::move(ball)); }
  void on(Partner&& partner) { partner_ = std::move(partner.address); }
  Address<Ball> partner_;
};

/// Counts what it gets, and answers the last.
class Sink final : public Actor<Parcel> {
 public:
  static constexpr std::string_view name = "sink";

 private:
  friend ActorAccess;
  void on(Parcel&& parcel) {
    if (const auto to = std::exchange(parcel.reply_to, {})) to.send(Parcel{});
  }
};

class Player final : public Actor<Ball, Partner> {
 public:
  static constexpr std::string_view name = "player";
  Player(std::vector<double>& times, std::size_t rounds, std::atomic<bool>& done)
      : times_(times), rounds_(rounds), done_(done) {}

 private:
  friend ActorAccess;
  void on(Ball&& ball) {
    times_.push_back(seconds_since(begin_) * 0.5e6);
    if (times_.size() == rounds_) {
      done_ = true;
      return;
    }
    begin_ = Clock::now();
    partner_.send(std::move(ball));
  }
  void on(Partner&& partner) {
    partner_ = std::move(partner.address);
    begin_ = Clock::now();
    partner_.send(Ball{});
  }
  std::vector<double>& times_;
  std::size_t rounds_;
  std::atomic<bool>& done_;
  Address<Ball> partner_;
  Clock::time_point begin_;
};

struct Credentials {
  std::shared_ptr<const net::Security> one;
  std::shared_ptr<const net::Security> two;

  static Credentials make() {
    const auto authority = net::make_authority("bench", 2).value();
    const auto security = [&](const char* node) {
      return net::Security::make(
                 authority.certificate, net::issue(authority, node, {"127.0.0.1"}, 1).value())
          .value();
    };
    return {security("one"), security("two")};
  }
};

net::NetworkOptions options_of(const char* node, std::shared_ptr<const net::Security> security) {
  net::NetworkOptions options{.node = node, .security = std::move(security)};
  options.messages.push_back(&Known::find);
  return options;
}

/// @param play  with the network and its system; the other process has "wall" and "sink"
double with_actors(
    const Credentials* credentials,
    const std::function<double(System& system, net::Network& network)>& play) {
  return in_two_processes(
      [&](auto tell, auto) {
        System system({.threads = 1});
        net::Network& network =
            net::attach(system, options_of("two", credentials ? credentials->two : nullptr));
        network.publish("wall", system.spawn<Wall>());
        network.publish("sink", system.spawn<Sink>());
        tell(network.listen({"127.0.0.1", 0}).port);
        bool seen = false;
        system.wait_until(
            [&] {
              seen |= !network.peers().empty();
              return seen && network.peers().empty();
            },
            "the end");
      },
      [&](std::uint16_t port) {
        System system({.threads = 1});
        net::Network& network =
            net::attach(system, options_of("one", credentials ? credentials->one : nullptr));
        (void)network.connect({"127.0.0.1", port}).get();
        return play(system, network);
      });
}

double actor_hop_us(const Credentials* credentials, int rounds) {
  return with_actors(credentials, [rounds](System& system, net::Network& network) {
    std::vector<double> times;
    std::atomic<bool> done{false};
    const auto player = system.spawn<Player>(times, static_cast<std::size_t>(rounds), done);
    const auto wall = network.find("two", "wall").get().as<Ball, Partner>();
    wall.send(Partner{player});
    player.send(Partner{wall});
    system.wait_until([&] { return done.load(); }, "the game");
    return median(std::move(times));
  });
}

double actor_stream_gb_s(const Credentials* credentials, std::size_t bytes) {
  return with_actors(credentials, [bytes](System&, net::Network& network) {
    const auto sink = network.find("two", "sink").get().as<Parcel>();
    const std::vector<std::byte> block(1U << 20);
    const auto owner = std::make_shared<std::vector<std::byte>>(block);
    const Bytes payload(*owner, owner);
    std::vector<Future<Parcel>> answers;
    const auto begin = Clock::now();
    for (std::size_t sent = 0; sent < bytes; sent += block.size()) {
      answers.push_back(ask<Parcel>(sink, [&](Address<Parcel> to) {
        return Parcel{payload, std::move(to)};
      }));
      // As much under way as the peer gives credit for.
      if (answers.size() > 48) (void)answers[answers.size() - 48].get();
    }
    (void)answers.back().get();
    return static_cast<double>(bytes) / seconds_since(begin) * 1e-9;
  });
}

void report(const char* what, const std::vector<double>& values, const char* unit, double base) {
  const double value = median(values);
  std::printf("%-28s %9.2f %s", what, value, unit);
  if (base > 0) std::printf("  %5.2f x", value / base);
  std::printf("\n");
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const int rounds = quick ? 500 : 20'000;
  const int runs = quick ? 1 : 5;
  const std::size_t bytes = quick ? 64U << 20 : std::size_t{2} << 30;
  const Credentials credentials = Credentials::make();
  // In turns, so that what else the machine does meets all of them.
  std::array<std::vector<double>, 3> hops;
  std::array<std::vector<double>, 3> streams;
  for (int i = 0; i < runs; ++i) {
    hops[0].push_back(asio_hop_us(rounds));
    hops[1].push_back(actor_hop_us(nullptr, rounds));
    hops[2].push_back(actor_hop_us(&credentials, rounds));
    streams[0].push_back(raw_stream_gb_s(bytes));
    streams[1].push_back(actor_stream_gb_s(nullptr, bytes));
    streams[2].push_back(actor_stream_gb_s(&credentials, bytes));
  }
  report("hop asio echo", hops[0], "us", 0);
  report("hop actor to actor", hops[1], "us", median(hops[0]));
  report("hop actor to actor, TLS", hops[2], "us", median(hops[0]));
  report("stream raw TCP", streams[0], "GB/s", 0);
  report("stream of messages", streams[1], "GB/s", median(streams[0]));
  report("stream of messages, TLS", streams[2], "GB/s", median(streams[0]));
}
