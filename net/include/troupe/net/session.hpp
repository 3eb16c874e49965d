#pragma once

#include <troupe/core/bytes.hpp>
#include <troupe/core/progress.hpp>
#include <troupe/core/result.hpp>
#include <troupe/net/frame.hpp>
#include <troupe/net/hello.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

namespace troupe {
class Random;
}

namespace troupe::net {

struct SessionOptions {
  unsigned lanes = 2;  ///< connections: lane 0 for control, the others for bulk
  std::uint32_t credit_messages =
      1024;  ///< per lane, what the peer may send before some are released
  std::uint32_t credit_bytes = 64U << 20;
  std::uint64_t window_bytes = 64U << 20;  ///< per lane, what may be sent and not acknowledged
  std::int64_t ack_delay_ns = 10'000'000;
  std::int64_t heartbeat_ns = 250'000'000;
  std::int64_t silence_ns = 2'000'000'000;  ///< no frame, or no acknowledgement: a new connection
  std::int64_t down_ns = 3'000'000'000;     ///< no frame on a lane: the peer is down
  std::int64_t connect_ns = 500'000'000;  ///< a connection that does not come about, or stays mute
  std::int64_t open_ns = 10'000'000'000;  ///< the same for the first one of each lane
  std::int64_t backoff_min_ns = 10'000'000;  ///< between connections; doubles, with jitter
  std::int64_t backoff_max_ns = 1'000'000'000;
  /// The side that was dialed cannot look whether the peer still listens. A process that ends
  /// closes all its connections, and one that lives opens new ones at once; 0: `down_ns` says.
  std::int64_t orphan_ns = 0;
  /// A peer that answers, has work, and handles no message and runs no chunk for so long: it hangs.
  /// More than the longest turn, and the longest chunk of a kernel, of a sound process.
  std::int64_t hung_ns = 30'000'000'000;
  std::uint32_t bytes_per_s_min = 4U
                                  << 20;  ///< slower links lose their connection on large messages
  unsigned refusals_max =
      3;  ///< connections refused in a row after which the peer's process is dead
  unsigned faults_max = 16;  ///< connections in a row that break the protocol and bring nothing
  unsigned chatter_per_s = 1000;  ///< frames without credit of their own that a lane may send
};

/// A message of the peer. Its bytes count against the peer's credit until `Session::release`.
struct Delivery {
  unsigned lane = 0;
  std::uint64_t sequence = 0;
  std::uint32_t epoch = 0;
  std::uint32_t frame_bytes = 0;
  Capability destination;
  Bytes meta;
  Bytes payload;
};
/// Every lane has a connection for the first time.
struct Opened {};
/// A lane takes a message as large as the one that it could not take.
struct CreditCame {
  unsigned lane = 0;
};
/// The peer is in a later epoch and dropped a message of this one.
struct Fenced {
  std::uint32_t epoch = 0;  ///< the peer's
};
/// The session is over; nothing comes after this.
struct Over {
  Error reason;
  std::uint64_t unacknowledged = 0;  ///< messages of which nobody knows whether they arrived
};
using SessionEvent = std::variant<Delivery, Opened, CreditCame, Fenced, Over>;

/// Bytes to be written on one connection, in this order. Keeps alive what they lie in.
struct WriteBatch {
  std::vector<std::span<const std::byte>> spans;
  std::size_t bytes = 0;

  std::vector<std::array<std::byte, header_bytes>> headers;
  std::vector<Bytes> held;
};

struct LaneStatus {
  bool live = false;
  std::uint64_t offered = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t received = 0;
  std::uint64_t unacknowledged_bytes = 0;
  std::uint64_t held_bytes = 0;       ///< received and not released
  std::uint64_t credit_messages = 0;  ///< may still be offered
  std::uint64_t credit_bytes = 0;
  unsigned resumes = 0;  ///< connections after the first
};

/// The conversation of two processes, which outlives its connections: messages arrive once, in
/// order on each lane, however often the connection is cut, while both processes live.
///
/// It does nothing by itself: whoever owns it brings bytes and the time, asks what to write, when
/// to wake it and what it wishes for, after each call. So one thread and one seed can test it.
///
/// Threads   one at a time.
/// Memory    for each lane the credit given and the window, at most; payloads are counted, not
///           copied. 16 MiB for payloads that nobody holds any more.
/// Never     drops a message: without credit `offer` says so, and `CreditCame` says when.
/// Errors    `Over` has `peer_down`, `peer_hung`, `peer_restarted`, `timed_out`, `wire_corrupt`,
///           `overload`, `stopped`, or what the peer refused for.
class Session {
 public:
  /// Dials `peer`, the node of that name; empty: whoever answers.
  Session(
      const SessionOptions& options,
      Identity self,
      std::string peer,
      Random& random,
      std::int64_t now_ns);
  /// Was dialed, with this hello, which `admit` answered with `begin`. Still to be told by
  /// `on_accepted`.
  Session(
      const SessionOptions& options,
      Identity self,
      const Hello& hello,
      Random& random,
      std::int64_t now_ns);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // --- to and from the application

  /// Gives a lane a message to send. false: there is no credit; `CreditCame` tells when.
  /// `invalid_argument` for one that is larger than the peer ever takes; what `Over` says when the
  /// session is over.
  [[nodiscard]] Result<bool> offer(
      unsigned lane, const Capability& destination, std::span<const std::byte> meta, Bytes payload);
  /// What happened, oldest first; messages of a lane in order, `Over` last.
  [[nodiscard]] std::optional<SessionEvent> next_event(std::int64_t now_ns);
  /// A message is dealt with: its bytes may be another's.
  void release(unsigned lane, std::uint32_t frame_bytes, std::int64_t now_ns);
  /// Enters a later epoch: what is offered from now on belongs to it, and messages of earlier ones
  /// that were not taken by now are dropped, and the peer is told.
  void set_epoch(std::uint32_t epoch);
  /// Asked by each heartbeat how this process is getting on; until then they say that it is idle.
  void set_progress(std::function<Progress()> progress) { progress_ = std::move(progress); }
  /// Ends the session once all messages offered are acknowledged.
  void close();
  /// Ends it now, without a word to the peer.
  void abort(Error reason);

  // --- to and from connections

  enum class Wish : std::uint8_t {
    none,
    connect,  ///< answered by on_connected or on_closed
    close,    ///< not answered: of that connection nothing may be told any more
  };
  /// What is to be done with a lane's connection; each wish is told once.
  [[nodiscard]] Wish wish(unsigned lane, std::int64_t now_ns);

  /// @param peer  whom the connection's certificate names; empty: nobody looked
  void on_connected(unsigned lane, const std::string& peer, std::int64_t now_ns);
  /// A peer's connection that said this hello takes the place of the lane's former one, of which
  /// nothing may be told any more.
  void on_accepted(const Hello& hello, std::int64_t now_ns);
  void on_bytes(unsigned lane, std::span<const std::byte> bytes, std::int64_t now_ns);
  /// Where the next of them are best put: see `FrameReader::room`. Empty between payloads.
  [[nodiscard]] Room room(unsigned lane) const;
  /// The connection broke, or did not come about; `refused`: nobody listens there.
  void on_closed(unsigned lane, bool refused, std::int64_t now_ns);
  /// What to write now; null when there is nothing, or the last is not written yet. The owner keeps
  /// it until the write has ended.
  [[nodiscard]] std::shared_ptr<const WriteBatch> next_write(unsigned lane, std::int64_t now_ns);
  void on_written(unsigned lane);

  /// Does what is due; to be called at `next_timer_ns()`, and harmless at any time.
  void on_timer(std::int64_t now_ns);
  [[nodiscard]] std::int64_t next_timer_ns() const noexcept;

  /// The peer's node begins another session: this one is over.
  void replace(const Hello& hello);

  // --- to be looked at

  [[nodiscard]] const std::string& peer() const noexcept { return peer_; }
  [[nodiscard]] std::uint64_t peer_incarnation() const noexcept { return peer_incarnation_; }
  [[nodiscard]] const Id128& id() const noexcept { return id_; }
  [[nodiscard]] unsigned lanes() const noexcept { return static_cast<unsigned>(lanes_.size()); }
  [[nodiscard]] bool over() const noexcept { return over_.has_value(); }
  /// The largest frame that `offer` ever takes.
  [[nodiscard]] std::uint64_t message_bytes_max() const noexcept;
  [[nodiscard]] LaneStatus status(unsigned lane) const noexcept;
  /// Of the last heartbeat; 0: none yet.
  [[nodiscard]] std::int64_t round_trip_ns() const noexcept { return round_trip_ns_; }

 private:
  struct Lane;

  Session(
      const SessionOptions& options,
      Identity self,
      std::string peer,
      Id128 id,
      unsigned lanes,
      Random& random,
      std::int64_t now_ns);

  void open(unsigned lane, const Hello& hello, std::int64_t now_ns);
  void lose(unsigned lane, std::int64_t now_ns);
  void fault(unsigned lane, Error error, std::int64_t now_ns);
  void end(Error reason);
  [[nodiscard]] Result<void> decide(unsigned lane, std::int64_t now_ns);
  [[nodiscard]] Result<void> handle(unsigned lane, std::int64_t now_ns);
  [[nodiscard]] Result<void> handle_hello(unsigned lane, const Frame& frame, std::int64_t now_ns);
  [[nodiscard]] Result<void> handle_pulse(const Frame& frame, std::int64_t now_ns);
  [[nodiscard]] bool chatter(Lane& lane, std::int64_t now_ns);
  void check_times(unsigned lane, std::int64_t now_ns);
  [[nodiscard]] std::int64_t orphaned_at_ns() const noexcept;
  [[nodiscard]] std::int64_t hung_at_ns() const noexcept;
  void tell_credit(unsigned lane);
  void write_control(unsigned lane, WriteBatch& batch, std::int64_t now_ns);
  void write_messages(Lane& lane, unsigned number, WriteBatch& batch, std::int64_t now_ns);
  void write_acks(unsigned lane, WriteBatch& batch, std::int64_t now_ns);
  void write_frame(
      Lane& lane, FrameHeader header, const Bytes& head, const Bytes& payload, WriteBatch& batch);
  [[nodiscard]] std::optional<Delivery> take(unsigned lane, std::int64_t now_ns);
  [[nodiscard]] bool all_acknowledged() const noexcept;
  [[nodiscard]] Error about_peer(ErrorCode code, const std::string& what) const;

  SessionOptions options_;
  Identity self_;
  std::string peer_;
  Id128 id_;
  Random& random_;
  bool dials_ = false;
  std::int64_t began_ns_;
  std::uint64_t peer_incarnation_ = 0;
  std::uint32_t peer_message_bytes_max_;
  std::uint32_t epoch_ = 0;
  std::uint32_t peer_epoch_told_ = 0;
  std::shared_ptr<Buffers> buffers_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::deque<SessionEvent> events_;  // bounded: each kind is told once until something changes
  bool opened_ = false;
  bool closing_ = false;
  std::optional<Over> over_;
  bool over_told_ = false;
  // Heartbeats.
  std::function<Progress()> progress_ = [] { return Progress(); };
  std::uint64_t peer_done_ = 0;
  bool peer_busy_ = false;
  std::int64_t peer_moved_ns_ = 0;
  std::uint64_t pulse_sent_ns_ = 0;  // of the peer's last one
  std::int64_t pulse_came_ns_ = 0;
  std::int64_t round_trip_ns_ = 0;
};

}  // namespace troupe::net
