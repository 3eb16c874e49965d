#pragma once

#include <troupe/core/random.hpp>
#include <troupe/net/endpoint.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <list>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::testing {

/// What the proxy does to what goes through it. Nothing, to begin with.
struct Faults {
  bool refuse = false;              ///< connections are closed as soon as they are accepted
  bool freeze = false;              ///< nothing is read any more, and nothing is closed: half-open
  bool freeze_answers = false;      ///< the same of what the endpoint sends, one way alone
  std::int64_t delay_ns = 0;        ///< that bytes are held
  std::uint64_t bytes_per_s = 0;    ///< each way of each connection; 0: as they come
  std::uint64_t bytes_to_cut = 0;   ///< of a connection, both ways, on average; 0: none is cut
  std::uint64_t bytes_to_flip = 0;  ///< of one way, on average, until one bit of it is flipped,
                                    ///< once in a connection; 0: none is
};

/// A bad network between two nodes of a test: takes connections for an endpoint of this machine,
/// and carries bytes there and back, but for what `Faults` say, by seed.
///
/// Threads   one of its own; calls from any.
class CuttingProxy {
 public:
  CuttingProxy(const net::Endpoint& to, std::uint64_t seed)
      : to_port_(to.port), random_(make_seeded_random(seed)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    sockaddr_in address = address_of(0);
    socklen_t size = sizeof address;
    wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (listener_ < 0 || wake_ < 0 ||
        ::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
        ::listen(listener_, 128) != 0 ||
        ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::system_error(errno, std::system_category(), "a proxy cannot listen");
    at_ = {"127.0.0.1", ntohs(address.sin_port)};
    thread_ = std::thread([this] { run(); });
  }
  ~CuttingProxy() {
    stopping_ = true;
    wake();
    thread_.join();
    for (Link& link : links_) close_link(link);
    if (listener_ >= 0) ::close(listener_);
    ::close(wake_);
  }
  CuttingProxy(const CuttingProxy&) = delete;
  CuttingProxy& operator=(const CuttingProxy&) = delete;

  [[nodiscard]] const net::Endpoint& at() const noexcept { return at_; }

  /// What happens from now on: it does when this returns.
  void set(const Faults& faults) {
    std::uint64_t wanted = 0;
    {
      const std::lock_guard lock(mutex_);
      faults_ = faults;
      wanted = ++changes_;
    }
    wake();
    while (changes_made_ < wanted) std::this_thread::yield();
  }
  /// Cuts all connections there are. They are gone when it returns.
  void cut() {
    const std::uint64_t wanted = ++cuts_wanted_;
    wake();
    while (cuts_made_ < wanted) std::this_thread::yield();
  }

  /// From now on nobody listens here, as after the endpoint's death.
  void stop_listening() {
    deaf_ = true;
    wake();
    while (deaf_) std::this_thread::yield();
  }

  /// Bytes that were passed on, both ways.
  [[nodiscard]] std::uint64_t passed() const noexcept { return passed_; }
  /// Connections that were cut here, at the wish of a call or of `Faults`.
  [[nodiscard]] std::uint64_t cuts() const noexcept { return cuts_; }
  /// Bits that were flipped and passed on.
  [[nodiscard]] std::uint64_t flips() const noexcept { return flips_; }
  /// Connections that live although a bit of theirs was flipped: none, once it was noticed.
  [[nodiscard]] std::uint64_t flipped_alive() const noexcept { return flipped_alive_; }

 private:
  using Time = std::chrono::steady_clock;
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
  static constexpr std::size_t piece_bytes = 16U << 10;
  static constexpr std::size_t held_bytes_max = 1U << 20;

  struct Piece {
    Time::time_point due;
    std::vector<std::byte> bytes;
    std::size_t flipped = 0;  // bits
  };
  /// One way of a connection.
  struct Way {
    int from = -1;
    int to = -1;
    std::deque<Piece> pieces;
    std::size_t held = 0;
    std::size_t offset = 0;  // into the first piece
    std::uint64_t to_flip = never;
    double allowance = 0;  // bytes, of a slow one
  };
  struct Link {
    std::array<Way, 2> ways;
    std::uint64_t to_cut = never;
    std::uint64_t changes = 0;
    bool flipped = false;
    bool over = false;
  };

  static sockaddr_in address_of(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }
  void wake() const {
    const std::uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
  }
  /// Twice the mean at most, so that every place up to there is as likely.
  std::uint64_t draw(std::uint64_t mean) {
    return mean == 0 ? never : random_->next() % (2 * mean);
  }
  void close_link(Link& link) {
    if (std::exchange(link.over, true)) return;
    // As a network that breaks: the end comes at once, and what is under way is lost.
    const linger at_once{1, 0};
    for (const int socket : {link.ways[0].from, link.ways[0].to}) {
      (void)::setsockopt(socket, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
      ::close(socket);
    }
    if (link.flipped) --flipped_alive_;
  }
  void cut_link(Link& link) {
    if (!link.over) ++cuts_;
    close_link(link);
  }

  void accept_all(const Faults& faults) {
    for (;;) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (client < 0) return;
      const int server = faults.refuse ? -1 : ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      const sockaddr_in address = address_of(to_port_);
      // On this machine it is answered at once.
      if (server < 0 ||
          ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        if (server >= 0) ::close(server);
        ::close(client);
        continue;
      }
      const int one = 1;
      (void)::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      (void)::setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      Link& link = links_.emplace_back();
      link.ways[0].from = link.ways[1].to = client;
      link.ways[0].to = link.ways[1].from = server;
    }
  }

  void take(Link& link, Way& way, const Faults& faults, Time::time_point now) {
    while (!link.over && way.held < held_bytes_max) {
      std::array<std::byte, piece_bytes> bytes;
      const ssize_t count = ::recv(way.from, bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (count <= 0) {
        while (!link.over && !way.pieces.empty() && give(link, way, faults, now)) {
        }
        return close_link(link);
      }
      std::size_t size = static_cast<std::size_t>(count);
      const bool cuts = link.to_cut <= size;
      if (cuts) size = static_cast<std::size_t>(link.to_cut);
      if (link.to_cut != never) link.to_cut -= size;
      Piece piece{now + std::chrono::nanoseconds(faults.delay_ns), {}, 0};
      piece.bytes.assign(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
      if (way.to_flip < size && !link.flipped) {
        piece.bytes[way.to_flip] ^= std::byte(1U << (random_->next() % 8));
        piece.flipped = 1;
        link.flipped = true;
        ++flipped_alive_;
        way.to_flip = never;
      } else if (way.to_flip != never) {
        way.to_flip -= std::min<std::uint64_t>(way.to_flip, size);
      }
      way.held += size;
      way.pieces.push_back(std::move(piece));
      if (cuts) {
        while (!way.pieces.empty() && give(link, way, faults, Time::time_point::max())) {
        }
        return cut_link(link);
      }
    }
  }
  /// Passes on what is due. @returns whether something went.
  bool give(Link& link, Way& way, const Faults& faults, Time::time_point now) {
    bool any = false;
    while (!link.over && !way.pieces.empty() && way.pieces.front().due <= now) {
      Piece& piece = way.pieces.front();
      std::size_t size = piece.bytes.size() - way.offset;
      if (faults.bytes_per_s > 0) size = std::min(size, static_cast<std::size_t>(way.allowance));
      if (size == 0 && !piece.bytes.empty()) return any;
      const ssize_t sent =
          ::send(way.to, piece.bytes.data() + way.offset, size, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) close_link(link);
        return any;
      }
      any = true;
      passed_ += static_cast<std::uint64_t>(sent);
      way.offset += static_cast<std::size_t>(sent);
      way.held -= static_cast<std::size_t>(sent);
      if (faults.bytes_per_s > 0) way.allowance -= static_cast<double>(sent);
      if (way.offset < piece.bytes.size()) continue;
      flips_ += piece.flipped;
      way.offset = 0;
      way.pieces.pop_front();
    }
    return any;
  }

  void run() {
    Time::time_point before = Time::now();
    std::vector<pollfd> polled;
    Faults faults;
    while (!stopping_) {
      polled.assign({{wake_, POLLIN, 0}, {listener_, POLLIN, 0}});
      bool slow = false;  // something is to go out by the clock
      for (const Link& link : links_)
        for (const Way& way : link.ways) {
          short events = 0;
          const bool frozen = faults.freeze || (faults.freeze_answers && &way == &link.ways[1]);
          if (!frozen && way.held < held_bytes_max) events |= POLLIN;
          polled.push_back({way.from, events, 0});
          slow = slow || !way.pieces.empty();
        }
      (void)::poll(polled.data(), polled.size(), slow ? 1 : 50);
      std::uint64_t ignored = 0;
      (void)!::read(wake_, &ignored, sizeof ignored);
      std::uint64_t changes = 0;
      {
        const std::lock_guard lock(mutex_);
        faults = faults_;
        changes = changes_;
      }
      changes_made_ = changes;

      const Time::time_point now = Time::now();
      const double passed = std::chrono::duration<double>(now - before).count();
      before = now;
      const std::uint64_t wanted = cuts_wanted_;
      if (cuts_made_ < wanted) {
        for (Link& link : links_) cut_link(link);
        links_.remove_if([](const Link& link) { return link.over; });
        cuts_made_ = wanted;
      }
      if (deaf_) {
        ::close(std::exchange(listener_, -1));
        deaf_ = false;
      }
      if (listener_ >= 0) accept_all(faults);
      if (faults.freeze) continue;
      for (Link& link : links_) {
        if (link.changes != changes + 1) {
          link.changes = changes + 1;
          link.to_cut = draw(faults.bytes_to_cut);
          for (Way& way : link.ways) way.to_flip = draw(faults.bytes_to_flip);
        }
        for (Way& way : link.ways) {
          if (link.over) break;
          if (faults.freeze_answers && &way == &link.ways[1]) continue;
          way.allowance = std::min(
              way.allowance + passed * static_cast<double>(faults.bytes_per_s),
              std::max(1.0, static_cast<double>(faults.bytes_per_s) / 10));
          take(link, way, faults, now);
          if (!link.over) give(link, way, faults, now);
        }
      }
      links_.remove_if([](const Link& link) { return link.over; });
    }
  }

  std::uint16_t to_port_;
  std::unique_ptr<Random> random_;  // the thread's
  int listener_ = -1;
  int wake_ = -1;
  net::Endpoint at_;
  std::mutex mutex_;
  Faults faults_;
  std::uint64_t changes_ = 0;
  std::list<Link> links_;
  std::atomic<std::uint64_t> changes_made_{0};
  std::atomic<std::uint64_t> cuts_wanted_{0};
  std::atomic<std::uint64_t> cuts_made_{0};
  std::atomic<std::uint64_t> passed_{0};
  std::atomic<std::uint64_t> cuts_{0};
  std::atomic<std::uint64_t> flips_{0};
  std::atomic<std::uint64_t> flipped_alive_{0};
  std::atomic<bool> deaf_{false};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace troupe::testing
