#pragma once

#include "console.hpp"
#include "options.hpp"

#include <troupe/core/disk.hpp>

#include <string>
#include <string_view>

namespace troupe::cli {

/// `troupe certs init` and `troupe certs issue`: a cluster's authority, and certificates of its
/// nodes, in a folder of files that are never written over. Keys are for their owner's eyes alone
/// (mode 0600).
int certs(const CertsOptions& options, Console& console);

/// A certificate's or key's file. Throws what the disk answers, with the hint.
[[nodiscard]] std::string read_pem(Disk& disk, const std::string& path, std::string_view hint);

}  // namespace troupe::cli
