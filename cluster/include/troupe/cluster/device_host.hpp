#pragma once

#include <troupe/core/address.hpp>
#include <troupe/core/system.hpp>
#include <troupe/net/network.hpp>

#include <cstdint>
#include <memory>

namespace troupe::cluster {

struct DeviceHostOptions {
  /// What the tensors of one peer may take here, those on their way to it included.
  std::uint64_t bytes_max = std::uint64_t{4} << 30;
  /// Devices that one peer may use at a time, each counted as often as it was asked for.
  std::uint32_t loans_max = 16;
};

/// Lends this process's devices to its peers, which place parts of their models on them (see
/// `remote_device`): keeps their tensors, runs the ops that they ask for, and sends back elements.
///
/// Trust     nothing that a peer sends is believed: ops by number, from Troupe's own list; shapes
///           as the op's rule says they are; views inside of the memory that they are of; memory
///           within the quota. What is refused is an error to the peer that asked.
/// Ends      when a peer goes, or the part of it that had borrowed, all that it had here is freed.
/// Lifetime  as long as it lives, peers may borrow anew; what was lent stays until they go.
/// Threads   its own calls from any.
class DeviceHost {
 public:
  /// Lends the system's devices, but for those that were themselves borrowed. Throws
  /// `invalid_argument` where a host has published itself already.
  DeviceHost(System& system, net::Network& network, DeviceHostOptions options = {});
  ~DeviceHost();
  DeviceHost(const DeviceHost&) = delete;
  DeviceHost& operator=(const DeviceHost&) = delete;

  struct Counters {
    std::uint64_t loans = 0;     ///< devices lent now
    std::uint64_t values = 0;    ///< stretches of memory that peers have here
    std::uint64_t bytes = 0;     ///< of those
    std::uint64_t launches = 0;  ///< since it began
    std::uint64_t refusals = 0;  ///< asked for and not done, likewise
  };
  [[nodiscard]] Counters counters() const noexcept;

  struct State;  ///< private to the module

 private:
  net::Network& network_;
  std::shared_ptr<State> state_;
  Address<> actor_;
};

}  // namespace troupe::cluster
