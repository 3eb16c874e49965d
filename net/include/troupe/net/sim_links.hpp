#pragma once

#include <troupe/core/sim_cluster.hpp>
#include <troupe/net/transport.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace troupe::sim {

/// What goes wrong by itself, with which probability each time that it can.
struct LinkFaults {
  std::int64_t delay_ns_max = 1'000'000;  ///< of each piece of what is written, one way
  double cut = 0;     ///< amid a write: the connection is reset, and what follows is lost
  double freeze = 0;  ///< at a write: nothing more of that side arrives, and nobody is told
  double refuse = 0;  ///< a connection does not come about
};

/// What of a process's end the others can see.
enum class Death : std::uint8_t {
  process,  ///< its machine resets its connections, and refuses others
  machine,  ///< nothing: no answer until a process of its name lives again
};

/// The simulated form of `net::Transport`: connections between the processes of a cluster, each of
/// which is a host by its own name. Bytes arrive in pieces of any size, in order, some time later.
///
///     sim::Cluster cluster(seed);
///     sim::Links links(cluster);
///     cluster.start("worker-1", [&](sim::Process& self) {
///       auto& network = net::attach(self.system(), {.node = "worker-1", .transport =
///       links.of(self)}); network.listen({"worker-1", 7000}); …
///     });
///
/// A blocked way holds back what is sent on it, as TCP does, until it is open again; a frozen
/// connection has lost it. What a stopped process is sent waits for it, as in a kernel's buffer.
///
/// Threads   those of the cluster. Must outlive its processes.
class Links {
 public:
  explicit Links(Cluster& cluster);
  ~Links();
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;

  /// For `net::NetworkOptions::transport`.
  [[nodiscard]] std::function<std::unique_ptr<net::Transport>(std::function<void()> alarm)> of(
      Process& process);

  void set_faults(const LinkFaults& faults);
  /// Nothing of one host arrives at the other from now on; the way back is another way.
  void block(const std::string& from, const std::string& to);
  /// Opens all ways, and ends all faults but the delay.
  void heal();
  /// Resets every connection between two hosts.
  void cut(const std::string& one, const std::string& other);
  /// `Cluster::kill`, and what others see of it.
  void kill(Process& process, Death death);

  /// Connections that came about, and those that were cut, frozen or refused by chance.
  struct Counters {
    std::uint64_t connections = 0;
    std::uint64_t cut = 0;
    std::uint64_t frozen = 0;
    std::uint64_t refused = 0;
    std::uint64_t bytes = 0;  ///< that arrived
  };
  [[nodiscard]] const Counters& counters() const noexcept;

  struct State;  ///< private to the module

 private:
  std::shared_ptr<State> state_;
};

}  // namespace troupe::sim
