#pragma once

#include <troupe/core/system.hpp>
#include <troupe/net/network.hpp>

#include <cstdint>
#include <memory>
#include <vector>

namespace troupe::cluster {

/// Where processes that were given numbers, but not each other's addresses, find the leader: each
/// tells rank 0 its number and the port at which it listens.
///
/// Threads  one.
class Rendezvous {
 public:
  /// Is found from now on. @param world  processes, this one, of rank 0, counted
  Rendezvous(System& system, net::Network& network, std::uint32_t world);
  ~Rendezvous();

  /// Waits for all others. @returns where they listen, by rank from 1 on. Throws `timed_out`,
  /// naming the ranks that are missing.
  [[nodiscard]] std::vector<net::Endpoint> gather(std::int64_t timeout_ns);

 private:
  struct State;
  friend class Usher;
  System& system_;
  net::Network& network_;
  std::shared_ptr<State> state_;
};

/// Tells the process at `master` that this one is there. Throws what refuses it: `invalid_argument`
/// for a rank that is taken or outside of the world, or for a world of another size; `timed_out`
/// when nobody is there in time.
void announce(
    System& system,
    net::Network& network,
    const net::Endpoint& master,
    std::uint32_t rank,
    std::uint32_t world,
    std::uint16_t port,
    std::int64_t timeout_ns);

}  // namespace troupe::cluster
