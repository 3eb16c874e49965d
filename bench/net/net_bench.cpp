// What a message to another process costs, beside what the sockets below cost: processes on this
// machine, medians of five runs in turn, and how many times the first of each list.
//
//   net_bench [--quick] [--gloo COMMAND] [--mpi COMMAND] [PART...]
//
//   hop     half of a round trip of 64 bytes, microseconds: Asio's own echo; an actor's answer to
//           an actor, plain and over TLS
//   stream  one way, gigabytes a second: raw TCP in blocks of 1 MiB; messages of 1 MiB to an actor,
//           plain and over TLS
//   sum     an all_reduce of float32 on 2 and 4 processes, microseconds; those of Gloo and of MPI
//           beside it, where bench/peers' gloo_bench and mpi_bench are named. Where the bytes
//           decide, also raw TCP carrying at once what goes from a rank to each other one.

#include "support/processes.hpp"

#include <troupe/cluster/mesh_collectives.hpp>
#include <troupe/cluster/messages.hpp>
#include <troupe/core/system.hpp>
#include <troupe/net/certificates.hpp>
#include <troupe/net/network.hpp>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <poll.h>

#include <algorithm>
#include <array>
#include <atomic>
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

/// A connection from rank 0 to rank 1.
tcp::socket connected(asio::io_context& io, unsigned rank, bench::Processes& processes) {
  tcp::acceptor acceptor(io, tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  const auto ports = processes.ports(rank, acceptor.local_endpoint().port());
  if (rank == 1) return acceptor.accept();
  tcp::socket socket(io);
  socket.connect({asio::ip::address_v4::loopback(), ports[1]});
  return socket;
}

double asio_hop_us(int rounds) {
  return bench::Processes::run(2, [rounds](unsigned rank, bench::Processes& processes) {
    asio::io_context io;
    tcp::socket socket = connected(io, rank, processes);
    socket.set_option(tcp::no_delay(true));
    if (rank == 1) {
      std::make_shared<EchoServer>(std::move(socket))->next();
      io.run();
      return 0.0;
    }
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
  return bench::Processes::run(2, [bytes](unsigned rank, bench::Processes& processes) {
    asio::io_context io;
    tcp::socket socket = connected(io, rank, processes);
    if (rank == 1) {
      std::vector<char> block(1U << 20);
      for (std::size_t left = bytes; left > 0;) left -= socket.read_some(asio::buffer(block));
      asio::write(socket, asio::buffer(block, 1));
      return 0.0;
    }
    std::vector<char> block(1U << 20);
    const auto begin = Clock::now();
    for (std::size_t sent = 0; sent < bytes; sent += block.size())
      asio::write(socket, asio::buffer(block));
    asio::read(socket, asio::buffer(block, 1));
    return static_cast<double>(bytes) / seconds_since(begin) * 1e-9;
  });
}

/// Each of two processes sends the other so many bytes, and gets as many, at once.
double raw_exchange_us(std::size_t bytes, int rounds) {
  return bench::Processes::run(2, [=](unsigned rank, bench::Processes& processes) {
    asio::io_context io;
    tcp::socket socket = connected(io, rank, processes);
    socket.non_blocking(true);
    const std::vector<char> out(bytes);
    std::vector<char> in(256U << 10);
    std::vector<double> times;
    for (int round = 0; round < rounds; ++round) {
      const auto begin = Clock::now();
      std::size_t sent = 0;
      std::size_t came = 0;
      while (sent < bytes || came < bytes) {
        boost::system::error_code full;
        const std::size_t before = sent + came;
        const std::size_t to_send = std::min(bytes - sent, in.size());
        if (to_send > 0) sent += socket.write_some(asio::buffer(&out[sent], to_send), full);
        const std::size_t to_come = std::min(bytes - came, in.size());
        if (to_come > 0) came += socket.read_some(asio::buffer(in.data(), to_come), full);
        if (sent + came > before) continue;
        pollfd either{socket.native_handle(), POLLIN, 0};
        if (sent < bytes) either.events |= POLLOUT;
        (void)poll(&either, 1, -1);
      }
      times.push_back(seconds_since(begin) * 1e6);
    }
    return median(std::move(times));
  });
}

/// What bench/peers' program prints.
double peer_us(const std::string& command, unsigned ranks, std::size_t bytes, int sums) {
  const std::string line = command + " " + std::to_string(ranks) + " " + std::to_string(bytes) +
                           " " + std::to_string(sums) + " 2>/dev/null";
  FILE* const output = popen(line.c_str(), "r");
  double us = 0;
  const bool read = output && std::fscanf(output, "%lf", &us) == 1;
  if (!output || pclose(output) != 0 || !read) {
    std::fprintf(stderr, "this prints no time: %s\n", line.c_str());
    std::exit(1);
  }
  return us;
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
  std::vector<std::shared_ptr<const net::Security>> security;  // by rank

  static Credentials make(unsigned ranks) {
    const auto authority = net::make_authority("bench", 2).value();
    Credentials made;
    for (unsigned rank = 0; rank < ranks; ++rank)
      made.security.push_back(
          net::Security::make(
              authority.certificate,
              net::issue(authority, "rank-" + std::to_string(rank), {"127.0.0.1"}, 1).value())
              .value());
    return made;
  }
};

/// A system with a network that has connected all processes.
struct Node {
  Node(
      unsigned rank,
      bench::Processes& processes,
      const Credentials* credentials,
      const std::function<void(Node&)>& publish)
      : network(net::attach(system, options_of(rank, credentials))) {
    publish(*this);
    const auto ports = processes.ports(rank, network.listen({"127.0.0.1", 0}).port);
    for (unsigned other = rank + 1; other < processes.count(); ++other)
      (void)network.connect({"127.0.0.1", ports[other]}).get();
    system.wait_until([&] { return up() + 1 == processes.count(); }, "the others");
  }

  [[nodiscard]] std::size_t up() const {
    const auto peers = network.peers();
    return static_cast<std::size_t>(
        std::count_if(peers.begin(), peers.end(), [](const auto& peer) { return peer.up; }));
  }
  /// Rank 0 is the first to go.
  void wait_for_the_end() {
    system.wait_until(
        [this] {
          const auto peers = network.peers();
          return std::none_of(peers.begin(), peers.end(), [](const auto& peer) {
            return peer.up && peer.node == name(0);
          });
        },
        "the end");
  }

  static std::string name(unsigned rank) { return "rank-" + std::to_string(rank); }
  static net::NetworkOptions options_of(unsigned rank, const Credentials* credentials) {
    net::NetworkOptions options{.node = name(rank)};
    if (credentials) options.security = credentials->security[rank];
    options.messages = {&Known::find, &cluster::find_message};
    return options;
  }

  System system{{.threads = 1}};
  net::Network& network;
};

/// @param play  with rank 0; the other process has "wall" and "sink"
double with_actors(const Credentials* credentials, const std::function<double(Node&)>& play) {
  return bench::Processes::run(2, [&](unsigned rank, bench::Processes& processes) {
    Node node(rank, processes, credentials, [](Node& self) {
      self.network.publish("wall", self.system.spawn<Wall>());
      self.network.publish("sink", self.system.spawn<Sink>());
    });
    if (rank == 0) return play(node);
    node.wait_for_the_end();
    return 0.0;
  });
}

double actor_hop_us(const Credentials* credentials, int rounds) {
  return with_actors(credentials, [rounds](Node& node) {
    System& system = node.system;
    std::vector<double> times;
    std::atomic<bool> done{false};
    const auto player = system.spawn<Player>(times, static_cast<std::size_t>(rounds), done);
    const auto wall = node.network.find("rank-1", "wall").get().as<Ball, Partner>();
    wall.send(Partner{player});
    player.send(Partner{wall});
    system.wait_until([&] { return done.load(); }, "the game");
    return median(std::move(times));
  });
}

double actor_stream_gb_s(const Credentials* credentials, std::size_t bytes) {
  return with_actors(credentials, [bytes](Node& node) {
    const auto sink = node.network.find("rank-1", "sink").get().as<Parcel>();
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

/// A collective's end, of which one after another is waited for.
class Ending final : public Actor<cluster::CollectiveDone> {
 public:
  explicit Ending(std::atomic<std::uint64_t>& ended) : ended_(ended) {}

 private:
  friend ActorAccess;
  void on(cluster::CollectiveDone&& done) {
    if (done.failed) std::abort();
    ++ended_;
  }
  std::atomic<std::uint64_t>& ended_;
};

/// One all_reduce of float32 after another; the median of rank 0's times, in microseconds.
double all_reduce_us(unsigned ranks, std::size_t bytes, int rounds) {
  return bench::Processes::run(ranks, [=](unsigned rank, bench::Processes& processes) {
    std::unique_ptr<cluster::MeshCollectives> mesh;
    Node node(rank, processes, nullptr, [&](Node& self) {
      mesh = std::make_unique<cluster::MeshCollectives>(self.system);
      self.network.publish("mesh", mesh->address());
    });
    cluster::Group group;
    group.rank = rank;
    for (unsigned other = 0; other < ranks; ++other)
      group.members.push_back(
          {Node::name(other),
           other == rank ? mesh->address()
                         : node.network.find(Node::name(other), "mesh")
                               .get()
                               .as<cluster::MeshPiece, cluster::MeshTaken, cluster::MeshAbort>()});
    mesh->enter(std::move(group));
    const auto values = std::make_shared<std::vector<float>>(bytes / 4, 1.0F);
    const Bytes input(std::as_bytes(std::span(*values)), values);
    std::atomic<std::uint64_t> ended{0};
    const auto ending = node.system.spawn<Ending>(ended);
    std::vector<double> times;
    for (std::uint64_t round = 1; round <= static_cast<std::uint64_t>(rounds); ++round) {
      const auto begin = Clock::now();
      mesh->all_reduce({round, 0}, input, {}, ending);
      node.system.wait_until([&] { return ended == round; }, "a sum");
      times.push_back(seconds_since(begin) * 1e6);
    }
    if (rank != 0) node.wait_for_the_end();
    mesh.reset();
    return median(std::move(times));
  });
}

void report(const std::string& what, double value, const char* unit, double base) {
  std::printf("%-30s %11.2f %s", what.c_str(), value, unit);
  if (base > 0) std::printf("  %5.2f x", value / base);
  std::printf("\n");
  std::fflush(stdout);
}

struct Plan {
  bool quick = false;
  int runs = 5;
  std::string gloo;  // commands; empty: not here
  std::string mpi;
  std::vector<std::string> parts;

  [[nodiscard]] bool wants(const char* part) const {
    return parts.empty() || std::find(parts.begin(), parts.end(), part) != parts.end();
  }
};

/// Each way in turn, so that what else the machine does meets all of them; medians. The first is
/// what the others are compared with.
struct Way {
  std::string what;
  std::function<double()> measure;
};
void compare(const Plan& plan, const char* unit, const std::vector<Way>& ways) {
  std::vector<std::vector<double>> values(ways.size());
  for (int i = 0; i < plan.runs; ++i)
    for (std::size_t way = 0; way < ways.size(); ++way) values[way].push_back(ways[way].measure());
  for (std::size_t way = 0; way < ways.size(); ++way)
    report(ways[way].what, median(values[way]), unit, way == 0 ? 0 : median(values[0]));
}

}  // namespace

int main(int argc, char** argv) {
  Plan plan;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0) {
      plan.quick = true;
      plan.runs = 1;
    } else if (std::strcmp(argv[i], "--gloo") == 0 && i + 1 < argc) {
      plan.gloo = argv[++i];
    } else if (std::strcmp(argv[i], "--mpi") == 0 && i + 1 < argc) {
      plan.mpi = argv[++i];
    } else {
      plan.parts.emplace_back(argv[i]);
    }
  }
  const Credentials credentials = Credentials::make(2);
  if (plan.wants("hop")) {
    const int rounds = plan.quick ? 500 : 20'000;
    compare(
        plan,
        "us",
        {{"hop asio echo", [&] { return asio_hop_us(rounds); }},
         {"hop actor to actor", [&] { return actor_hop_us(nullptr, rounds); }},
         {"hop actor to actor, TLS", [&] { return actor_hop_us(&credentials, rounds); }}});
  }
  if (plan.wants("stream")) {
    const std::size_t bytes = plan.quick ? 64U << 20 : std::size_t{2} << 30;
    compare(
        plan,
        "GB/s",
        {{"stream raw TCP", [&] { return raw_stream_gb_s(bytes); }},
         {"stream of messages", [&] { return actor_stream_gb_s(nullptr, bytes); }},
         {"stream of messages, TLS", [&] { return actor_stream_gb_s(&credentials, bytes); }}});
  }
  if (!plan.wants("sum")) return 0;
  for (const unsigned ranks : {2U, 4U})
    for (const std::size_t size :
         {std::size_t{1} << 10, std::size_t{1} << 20, std::size_t{64} << 20}) {
      const int sums = plan.quick ? 3 : size >= std::size_t{64} << 20 ? 8 : 500;
      const std::string what =
          "all_reduce " + std::to_string(size >> 10) + " KiB, " + std::to_string(ranks) + " ranks";
      std::vector<Way> ways{{what, [&] { return all_reduce_us(ranks, size, sums); }}};
      if (!plan.gloo.empty())
        ways.push_back({"  Gloo", [&] { return peer_us(plan.gloo, ranks, size, sums); }});
      if (!plan.mpi.empty())
        ways.push_back({"  MPI", [&] { return peer_us(plan.mpi, ranks, size, sums); }});
      if (ranks == 2 && size >= std::size_t{1} << 20)
        ways.push_back({"  raw TCP, both ways", [&] { return raw_exchange_us(size, sums); }});
      compare(plan, "us", ways);
    }
}
