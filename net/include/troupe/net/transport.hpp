#pragma once

#include <troupe/core/error.hpp>
#include <troupe/core/result.hpp>
#include <troupe/net/endpoint.hpp>
#include <troupe/net/frame.hpp>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>

namespace troupe {
class Poller;
}

namespace troupe::net {

struct WriteBatch;

/// What carries bytes between two processes, in order, until it breaks.
///
/// Threads   any; calls may come from whoever holds the network's lock.
class Connection {
 public:
  virtual ~Connection() = default;
  /// Writes a batch, as much as goes without waiting in this call. One at a time.
  /// @returns  true if all is gone; else `on_written` tells when.
  [[nodiscard]] virtual bool write(std::shared_ptr<const WriteBatch> batch) = 0;
  /// Breaks it; what is told afterwards is to be ignored.
  virtual void close() noexcept = 0;
  /// The name of the node at the other end, proven by its certificate; empty where none is asked
  /// for. Once connected.
  [[nodiscard]] virtual const std::string& peer() const noexcept = 0;
  /// It said who it is, and belongs here: its time to do so is no longer counted.
  virtual void welcome() noexcept = 0;
  /// Where the other end is, for errors.
  [[nodiscard]] virtual const std::string& remote() const noexcept = 0;
};

/// Hears of one connection.
///
/// Threads   the transport's own, one call at a time; never within a call to the transport.
class ConnectionEvents {
 public:
  virtual ~ConnectionEvents() = default;
  /// Both ends may write. Of a connection that was dialed.
  virtual void on_connected() = 0;
  virtual void on_bytes(std::span<const std::byte> bytes) = 0;
  /// Where the next bytes are best put. If `on_bytes` is told of them there, nobody copies them.
  /// Empty: it does not matter where.
  [[nodiscard]] virtual Room room() { return {}; }
  virtual void on_written() = 0;
  /// The last call. `refused`: nobody listens there.
  virtual void on_closed(bool refused, const Error& why) = 0;
};

/// One of the six interfaces between Troupe and the outside world: connections, and one alarm. The
/// real one is TCP (`make_tcp_transport`); the simulated one (`sim::Links`) delays, cuts and loses
/// by seed.
///
/// Threads   any.
class Transport {
 public:
  /// Given a connection that somebody opened, and whose certificate, if there must be one, is good;
  /// returns who hears of it, or null to have it closed.
  using Accept =
      std::function<std::shared_ptr<ConnectionEvents>(const std::shared_ptr<Connection>&)>;

  virtual ~Transport() = default;
  /// Begins a connection, whose `on_connected` or `on_closed` comes.
  /// @param node  whose certificate there must be, where there are certificates; empty: one that
  ///              stands for `to.host`
  [[nodiscard]] virtual std::shared_ptr<Connection> dial(
      const Endpoint& to, const std::string& node, std::shared_ptr<ConnectionEvents> events) = 0;
  /// @returns where it listens: with the port that it got.
  ///
  /// Errors  `invalid_argument` for a host that is none of this machine's or does not resolve, and
  ///         for a port that is taken or not allowed, saying which.
  [[nodiscard]] virtual Result<Endpoint> listen(const Endpoint& at, Accept accept) = 0;
  /// Has the function given at the beginning called at this time of the system's clock; takes the
  /// place of the alarm before.
  virtual void set_alarm(std::int64_t at_ns) = 0;
  /// What threads of the system with nothing to do may wait in, and so be the transport's thread;
  /// null: it has none to lend.
  [[nodiscard]] virtual Poller* poller() noexcept { return nullptr; }
  /// Calls a function on the transport's thread, soon.
  virtual void post(std::function<void()> function) = 0;
  /// Waits for what the transport's events bring about, letting go of the lock: until it is so, for
  /// which `changed` is notified, or for so long. Not on the transport's own thread.
  /// @returns whether it is so
  virtual bool wait(
      std::unique_lock<std::mutex>& lock,
      std::condition_variable& changed,
      std::int64_t timeout_ns,
      const std::function<bool()>& done) = 0;
  /// Ends all; nothing is told any more. Not on the transport's own thread, nor while one polls.
  virtual void stop() noexcept = 0;
};

}  // namespace troupe::net
