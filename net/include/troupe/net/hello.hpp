#pragma once

#include <troupe/core/result.hpp>
#include <troupe/net/frame.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace troupe::net {

class Session;

/// Who a process of a cluster is.
struct Identity {
  Id128 cluster;
  std::string node;               ///< its name, as its certificate has it; 1 to 255 bytes
  std::uint64_t incarnation = 0;  ///< from 1; greater in each life of the node. No clock's time
};

/// The first words on a connection, both ways.
struct Hello {
  Identity from;
  Id128 session;
  std::uint64_t knows = 0;  ///< the listener's incarnation, as the session has it; 0: none yet
  std::uint8_t lanes = 0;
  std::uint32_t message_bytes_max =
      0;  ///< the largest frame that the sender has credit to give for

  // Of the frame's header: where the lane stands.
  std::uint8_t lane = 0;
  std::uint64_t ack = 0;
  std::uint32_t credit_messages = 0;
  std::uint32_t credit_bytes = 0;
};

/// An accepted connection until it has said who it is.
///
/// Memory    at most 64 + 1,024 bytes, whatever comes.
/// Errors    those of frames; `wire_corrupt` for any other frame than a hello, for a hello that
///           does not fit, and for bytes behind it: who dials waits for an answer.
class Reception {
 public:
  static constexpr std::uint32_t hello_bytes_max = 1024;

  /// @returns the hello once it is whole.
  [[nodiscard]] Result<std::optional<Hello>> read(std::span<const std::byte> bytes);

 private:
  FrameReader reader_;
};

/// What becomes of a hello at the process that was dialed.
struct Admission {
  enum class Kind : std::uint8_t {
    join,    ///< the session there is goes on
    begin,   ///< a session begins; one that there is of the same node is over (`Session::replace`)
    refuse,  ///< an answer with the reason (`encode_refusal`), then the connection is closed
  };
  Kind kind = Kind::refuse;
  Error reason;
};

/// Decides by the session that there is, or was last, with the node that says hello; null: none.
/// Each lane is given credit of its own, so `lanes_allowed` bounds what a peer can make this
/// process hold.
///
/// Reasons   `peer_mismatch` another cluster; `peer_restarted` the session was with an earlier life
///           of this process; `peer_down` the session is over here; `fenced` an earlier life of the
///           node, or another's session; `overload` more lanes than allowed.
[[nodiscard]] Admission admit(
    const Identity& self, const Hello& hello, const Session* current, unsigned lanes_allowed);

/// The whole frame of a refusal.
[[nodiscard]] std::vector<std::byte> encode_refusal(const Error& reason, std::uint8_t lane);

}  // namespace troupe::net
