#pragma once

#include "options.hpp"

#include <troupe/core/system.hpp>
#include <troupe/net/network.hpp>

#include <string>

namespace troupe::cli {

/// Attaches the network to a system as the command line asks: with a node's certificate, or on this
/// machine alone.
///
/// @param kind  what to call a process that has no name: its kind, and a number
///
/// Throws  what reading and checking certificates throws, with where they come from.
net::Network& join_network(System& system, const ClusterOptions& options, const std::string& kind);

}  // namespace troupe::cli
