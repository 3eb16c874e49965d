#pragma once

#include <troupe/core/result.hpp>
#include <troupe/net/certificates.hpp>
#include <troupe/net/frame.hpp>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe::net {

/// What a node proves itself by, and whom it believes: mutual TLS 1.3 and nothing older, without
/// tickets, early data or compression.
///
/// Threads   any.
class Security {
 public:
  /// @param authority  the cluster's certificate, PEM
  /// @param node       this node's own, and its key, PEM
  ///
  /// Errors  `file_corrupt` for what is no certificate or key; `file_mismatch` for a key that is
  /// not
  ///         the certificate's, and for a node's certificate that the authority did not sign or
  ///         whose time is over, saying since when.
  [[nodiscard]] static Result<std::shared_ptr<const Security>> make(
      const std::string& authority, const Credentials& node);
  ~Security();
  Security(const Security&) = delete;
  Security& operator=(const Security&) = delete;

  /// The name that the node's certificate has.
  [[nodiscard]] const std::string& node() const noexcept;
  /// Half of the SHA-256 of the authority's certificate: one cluster has one authority.
  [[nodiscard]] const Id128& cluster() const noexcept;

 private:
  friend class SecureChannel;
  struct State;
  explicit Security(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// One end of a TLS connection, without the connection: whoever owns it carries bytes.
///
/// Threads   one at a time.
/// Memory    a record each way, 16 KiB, and what was written and not yet taken.
/// Errors    `peer_mismatch` for a certificate that proves nothing here, saying why, or for a peer
///           that speaks no TLS 1.3; `wire_corrupt` for damaged records. After one only the
///           destructor makes sense; what `take` still has is to be sent, for it says why.
class SecureChannel {
 public:
  enum class Role : std::uint8_t { dials, listens };
  SecureChannel(std::shared_ptr<const Security> security, Role role);
  ~SecureChannel();
  SecureChannel(const SecureChannel&) = delete;
  SecureChannel& operator=(const SecureChannel&) = delete;

  /// Bytes that came. May finish the greeting, and make bytes to be sent. Once greeted they are not
  /// copied: they must stay until read() has returned 0, before which no more can be fed.
  [[nodiscard]] Result<void> feed(std::span<const std::byte> bytes);
  /// What the peer wrote. @returns how many bytes of `to` were filled; 0: no more yet.
  [[nodiscard]] Result<std::size_t> read(std::span<std::byte> to);
  /// Whether the peer said that nothing comes any more; without this an end is a cut.
  [[nodiscard]] bool ended() const noexcept { return ended_; }
  /// Both have proved who they are.
  [[nodiscard]] bool greeted() const noexcept { return greeted_; }
  /// The name in the peer's certificate, once greeted.
  [[nodiscard]] const std::string& peer() const noexcept { return peer_; }
  /// Whether the peer's certificate stands for a host of this name or address too.
  [[nodiscard]] bool stands_for(const std::string& host) const;
  /// Encrypts bytes for the peer, once greeted.
  [[nodiscard]] Result<void> write(std::span<const std::byte> bytes);
  /// What is to be sent, to be dropped from the front as it leaves.
  [[nodiscard]] std::span<const std::byte> output() const noexcept;
  void drop_output(std::size_t bytes) noexcept;

 private:
  struct State;
  [[nodiscard]] Result<void> greet();
  [[nodiscard]] Error fault(const std::string& during) const;

  std::unique_ptr<State> state_;
  bool greeted_ = false;
  bool ended_ = false;
  std::string peer_;
};

}  // namespace troupe::net
