#pragma once

#include "console.hpp"
#include "options.hpp"

namespace troupe::cli {

/// `troupe certs init` and `troupe certs issue`: a cluster's authority, and certificates of its
/// nodes, in a folder of files that are never written over. Keys are for their owner's eyes alone
/// (mode 0600).
int certs(const CertsOptions& options, Console& console);

}  // namespace troupe::cli
