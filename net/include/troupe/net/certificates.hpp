#pragma once

#include <troupe/core/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace troupe::net {

/// A certificate and the private key to it, as PEM texts. The key is a secret: whoever has it is
/// the node, or, with an authority's, may make any node of the cluster.
struct Credentials {
  std::string certificate;
  std::string key;
};

/// Makes the authority of a cluster: a P-256 key and a certificate that it signed itself, which can
/// sign certificates of nodes and of nothing else.
///
/// Keys come from OpenSSL's generator, times from the machine's calendar; neither is simulated.
///
/// Errors  `invalid_argument` for a name that is not 1 to 63 letters, digits, '-', '_' or '.', or
///         days out of 1 to 36,500.
[[nodiscard]] Result<Credentials> make_authority(std::string_view cluster, int days);

/// Makes a node's key and its certificate, for both ends of a connection. The node's name and
/// `hosts`, names or addresses by which others reach it, are what the certificate stands for.
///
/// Errors  as above, for names and days; `file_corrupt` for what is no certificate or no key;
///         `file_mismatch` for a key that is not the certificate's, or a certificate that is no
///         authority's; `invalid_argument` for one that ends before the node's would.
[[nodiscard]] Result<Credentials> issue(
    const Credentials& authority,
    std::string_view node,
    const std::vector<std::string>& hosts,
    int days);

}  // namespace troupe::net
