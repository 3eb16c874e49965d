#pragma once

#include <troupe/core/system.hpp>
#include <troupe/net/network.hpp>
#include <troupe/nn/module.hpp>
#include <troupe/tensor/device.hpp>

#include <string>

namespace troupe::cluster {

/// A device of another process, which lends it (`DeviceHost`), as one of this system's: "node/cpu".
/// Whatever names a device takes it: scopes, `to(tensor, device)`, `nn::place`. Tensors and what
/// their ops compute lie in the memory there; elements travel when they are read, or moved to
/// another device. Asked for again, it is the same device.
///
/// A launch is a message, and ends with one. Ops that depend on each other take a round trip each;
/// others are under way at once. Compiled programs fuse nothing on such a device.
///
/// Bits      those of the other process's device.
/// Errors    what fails there is an error here, with its op and line, and says where it was. Once
///           the peer is down, whatever is under way, used or read there ends with `peer_down`; the
///           device is good again when it is asked for again, but what it held is gone.
/// Waits     until the peer has answered. Throws its refusal: `device_mismatch` for a device that
/// it
///           does not have, `overload`; `timed_out`, `peer_down`; what `Network::find` throws where
///           it lends none.
/// Lifetime  the system's; the network must stay attached to it.
/// Threads   one at a time, and not in an actor's turn; the device itself as any device.
[[nodiscard]] Device& remote_device(
    System& system, net::Network& network, const std::string& node, const std::string& device);

/// Places a module on a peer's device: `nn::place` with `remote_device`.
void place(
    const nn::Module& module,
    net::Network& network,
    const std::string& node,
    const std::string& device);

}  // namespace troupe::cluster
