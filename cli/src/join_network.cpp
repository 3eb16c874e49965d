#include "join_network.hpp"

#include "certs.hpp"

#include <troupe/cluster/messages.hpp>
#include <troupe/core/disk.hpp>
#include <troupe/core/random.hpp>
#include <troupe/net/security.hpp>

#include <cstdint>
#include <vector>

namespace troupe::cli {

namespace {

/// Counts a node's lives beside its certificate: the others must tell them apart.
std::uint64_t next_life(Disk& disk, const std::string& path) {
  std::uint64_t life = 0;
  constexpr std::uint64_t bytes_max = 64;
  if (disk.exists(path))
    for (const std::byte byte : disk.read_all(path, bytes_max).value()) {
      const auto digit = static_cast<std::uint64_t>(byte) - '0';
      if (digit <= 9) life = life * 10 + digit;
    }
  const std::string text = std::to_string(++life) + "\n";
  disk.replace(path, std::as_bytes(std::span(text))).value();
  return life;
}

}  // namespace

net::Network& join_network(System& system, const ClusterOptions& options, const std::string& kind) {
  net::NetworkOptions network{.node = options.node};
  network.messages.push_back(&cluster::find_message);
  if (!options.certs.empty()) {
    if (options.node.empty())
      throw Error(ErrorCode::invalid_argument, "--certs without --node: whose certificate is it?")
          .hint("--node NAME takes NAME.crt and NAME.key in " + options.certs);
    Disk& disk = system.disk();
    const std::string stem = options.certs + "/" + options.node;
    const auto read = [&](const std::string& path) {
      return read_pem(
          disk, path, "'troupe certs init' and 'troupe certs issue NODE' make these files");
    };
    network.security =
        net::Security::make(
            read(options.certs + "/authority.crt"), {read(stem + ".crt"), read(stem + ".key")})
            .value();
    network.incarnation = next_life(disk, stem + ".life");
  } else if (network.node.empty()) {
    // A name that no other process has, so its lives need not be counted.
    network.node = kind + "-" + std::to_string(system.random().next() % 1'000'000'000);
  }
  return net::attach(system, std::move(network));
}

}  // namespace troupe::cli
