#pragma once

#include <troupe/core/random.hpp>

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::testing {

/// What a link between two machines is like, each way.
struct LinkOptions {
  std::uint64_t bits_per_s = 0;  ///< 0: as fast as this machine
  std::int64_t delay_ns = 0;     ///< of each frame
  std::int64_t jitter_ns = 0;    ///< at most that much more, by seed: frames overtake each other
  double loss = 0;               ///< the part of all frames that is lost
  double twice = 0;              ///< and that comes twice
  std::size_t queue_bytes = 1U << 20;  ///< that wait to go out; more is lost
  std::uint64_t seed = 1;
};

/// Two networks, each with one address, and a bad link between them: what a process in one sends to
/// the other's address goes through here, frame by frame. It takes the place of a kernel's `netem`,
/// which many machines have not, and gives the same faults for the same seed and the same frames.
///
/// Needs    to be root, or CAP_NET_ADMIN and CAP_SYS_ADMIN, and /dev/net/tun; else throws
///          `std::system_error`, see `why_not`.
/// Threads  one of its own; calls from one.
class ImpairedLink {
 public:
  static constexpr std::array<const char*, 2> addresses = {"10.77.0.1", "10.77.0.2"};

  explicit ImpairedLink(LinkOptions options)
      : options_(options), random_(make_seeded_random(options.seed)) {
    for (std::size_t side = 0; side < 2; ++side) {
      std::exception_ptr failed;
      // A thread may leave the process's network without the others.
      std::thread([&] {
        try {
          make_side(side);
        } catch (...) {
          failed = std::current_exception();
        }
      }).join();
      if (failed) {
        close_all();
        std::rethrow_exception(failed);
      }
    }
    wake_ = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    thread_ = std::thread([this] { run(); });
  }
  ~ImpairedLink() {
    stopping_ = true;
    const std::uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
    thread_.join();
    close_all();
  }
  ImpairedLink(const ImpairedLink&) = delete;
  ImpairedLink& operator=(const ImpairedLink&) = delete;

  /// Why there can be none here; empty when there can.
  [[nodiscard]] static std::string why_not() {
    try {
      const ImpairedLink link{LinkOptions{}};
      return {};
    } catch (const std::system_error& error) {
      return error.what();
    }
  }

  /// A network, to be entered by setns(); as long as this lives.
  [[nodiscard]] int network(std::size_t side) const noexcept { return sides_[side].network; }
  /// Frames that went through, that were lost, and that came twice.
  [[nodiscard]] std::uint64_t passed() const noexcept { return passed_; }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }
  [[nodiscard]] std::uint64_t doubled() const noexcept { return doubled_; }

 private:
  using Time = std::chrono::steady_clock;
  static constexpr std::size_t frame_bytes_max = 2048;

  struct Frame {
    Time::time_point due;
    std::vector<std::byte> bytes;
  };
  struct Side {
    int network = -1;
    int tap = -1;
    std::deque<Frame> to_here;  // by the time that they are due
    std::size_t queued_bytes = 0;
    Time::time_point free_at{};  // when the wire to here has room for the next frame
  };

  static void check(bool good, const std::string& what) {
    if (!good) throw std::system_error(errno, std::generic_category(), what);
  }

  void make_side(std::size_t side) {
    Side& made = sides_[side];
    check(::unshare(CLONE_NEWNET) == 0, "a network of its own");
    made.network = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    check(made.network >= 0, "/proc/thread-self/ns/net");
    made.tap = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    check(made.tap >= 0, "/dev/net/tun");
    ifreq request{};
    std::strcpy(request.ifr_name, "link0");
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    check(::ioctl(made.tap, TUNSETIFF, &request) == 0, "a TAP device");
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    check(socket >= 0, "a socket");
    const auto set_address = [&](unsigned long what, const char* text) {
      auto& address = reinterpret_cast<sockaddr_in&>(request.ifr_addr);
      address = {};
      address.sin_family = AF_INET;
      (void)::inet_pton(AF_INET, text, &address.sin_addr);
      check(::ioctl(socket, what, &request) == 0, "an address of the link");
    };
    const auto bring_up = [&](const char* name) {
      std::strcpy(request.ifr_name, name);
      request.ifr_flags = IFF_UP | IFF_RUNNING;
      check(::ioctl(socket, SIOCSIFFLAGS, &request) == 0, std::string(name) + " up");
    };
    set_address(SIOCSIFADDR, addresses[side]);
    set_address(SIOCSIFNETMASK, "255.255.255.0");
    bring_up("link0");
    bring_up("lo");
    ::close(socket);
  }
  void close_all() {
    for (Side& side : sides_) {
      if (side.tap >= 0) ::close(side.tap);
      if (side.network >= 0) ::close(side.network);
    }
    if (wake_ >= 0) ::close(wake_);
  }

  bool happens(double part) {
    return part > 0 && static_cast<double>(random_->next() >> 11) * 0x1p-53 < part;
  }
  void take(Side& from, Side& to, Time::time_point now) {
    std::array<std::byte, frame_bytes_max> bytes;
    for (;;) {
      const ssize_t count = ::read(from.tap, bytes.data(), bytes.size());
      if (count <= 0) return;
      const auto size = static_cast<std::size_t>(count);
      if (happens(options_.loss) || to.queued_bytes + size > options_.queue_bytes) {
        ++lost_;
        continue;
      }
      const int copies = happens(options_.twice) ? 2 : 1;
      doubled_ += static_cast<std::uint64_t>(copies - 1);
      for (int copy = 0; copy < copies; ++copy) {
        Time::time_point due = now;
        if (options_.bits_per_s > 0) {
          const auto on_wire = std::chrono::nanoseconds(
              static_cast<std::int64_t>(size) * 8'000'000'000 /
              static_cast<std::int64_t>(options_.bits_per_s));
          due = to.free_at = std::max(to.free_at, now) + on_wire;
        }
        due += std::chrono::nanoseconds(options_.delay_ns);
        if (options_.jitter_ns > 0)
          due += std::chrono::nanoseconds(
              random_->next() % static_cast<std::uint64_t>(options_.jitter_ns));
        const auto after = std::upper_bound(
            to.to_here.begin(), to.to_here.end(), due, [](Time::time_point time, const Frame& f) {
              return time < f.due;
            });
        to.to_here.insert(
            after, Frame{due, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)}});
        to.queued_bytes += size;
      }
    }
  }
  void give(Side& to, Time::time_point now) {
    while (!to.to_here.empty() && to.to_here.front().due <= now) {
      const Frame& frame = to.to_here.front();
      (void)!::write(to.tap, frame.bytes.data(), frame.bytes.size());
      to.queued_bytes -= frame.bytes.size();
      to.to_here.pop_front();
      ++passed_;
    }
  }

  void run() {
    while (!stopping_) {
      Time::time_point next = Time::now() + std::chrono::milliseconds(50);
      for (const Side& side : sides_)
        if (!side.to_here.empty()) next = std::min(next, side.to_here.front().due);
      const std::int64_t wait_ns = std::max<std::int64_t>(
          0, std::chrono::duration_cast<std::chrono::nanoseconds>(next - Time::now()).count());
      const timespec wait{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
      std::array<pollfd, 3> polled = {
          pollfd{sides_[0].tap, POLLIN, 0},
          pollfd{sides_[1].tap, POLLIN, 0},
          pollfd{wake_, POLLIN, 0}};
      (void)::ppoll(polled.data(), polled.size(), &wait, nullptr);
      const Time::time_point now = Time::now();
      take(sides_[0], sides_[1], now);
      take(sides_[1], sides_[0], now);
      for (Side& side : sides_) give(side, now);
    }
  }

  LinkOptions options_;
  std::unique_ptr<Random> random_;  // the thread's
  std::array<Side, 2> sides_;
  int wake_ = -1;
  std::atomic<std::uint64_t> passed_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<std::uint64_t> doubled_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace troupe::testing
