#pragma once

#include <troupe/core/random.hpp>
#include <troupe/net/session.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace troupe::testing {

/// What a link may do to the bytes between two sessions. All probabilities are for one write.
struct LinkFaults {
  double cut = 0;     ///< the connection breaks, somewhere within the write
  double freeze = 0;  ///< the connection stays, one direction of it carries nothing any more
  double repeat = 0;  ///< a whole frame comes twice
  double lose = 0;    ///< a whole frame does not come
  double swap = 0;    ///< two whole frames change places
  double flip = 0;    ///< a bit changes
  double refuse = 0;  ///< a connection does not come about
  std::int64_t delay_ns_max = 1'000'000;
};

/// Two processes and the wires between them, run from one seed in virtual time. Side 0 dials.
///
/// Every message carries its number in its lane, and the epoch it was offered in; the ledger knows
/// what was taken and checks each as it comes.
class SessionWorld {
 public:
  struct Options {
    std::uint64_t seed = 1;
    unsigned lanes = 2;
    LinkFaults faults;
    net::SessionOptions session[2];
    unsigned messages = 100;  ///< from each side on each lane
    std::uint32_t payload_bytes_max = 3000;
    std::int64_t work_ns_max =
        500'000;        ///< how long a side takes over a message, before releasing it
    double epochs = 0;  ///< probability that a side enters a new epoch with a message
  };

  struct Side {
    net::Identity self;
    std::unique_ptr<net::Session> session;
    std::vector<std::uint64_t> offered;    // by lane
    std::vector<std::uint64_t> delivered;  // by lane: the last number that came
    std::vector<std::uint64_t> fenced;     // by lane: numbers passed over
    std::vector<bool> waits_for_credit;
    std::uint32_t epoch = 0;
    std::map<std::uint64_t, std::uint32_t> epoch_of;  // of offered ones, by lane << 32 | number
    unsigned opened = 0;
    unsigned overs = 0;
    unsigned fenced_told = 0;
    Progress progress;  // what its heartbeats tell
    std::optional<Error> over;
    unsigned credit_came = 0;
  };

  explicit SessionWorld(Options options);
  ~SessionWorld();

  /// Runs until this time, or until `done`.
  void run_until(
      std::int64_t until_ns, const std::function<bool()>& done = [] { return false; });
  void heal() { options_.faults = {}; }
  /// Nothing passes any more; connections stay and say nothing.
  void partition(bool on) { partitioned_ = on; }
  /// Ends side 1's process without a word, and lets another life of it begin.
  void restart();
  /// Ends its process; nobody listens there any more.
  void kill();
  void cut_all();
  [[nodiscard]] bool all_delivered() const;
  /// Fails unless the session goes on, every message came, and all credit is back.
  void check_whole();
  void offer_all(bool on) { offering_ = on; }

  [[nodiscard]] std::int64_t now_ns() const { return now_ns_; }
  [[nodiscard]] Side& side(unsigned i) { return sides_[i]; }
  [[nodiscard]] std::uint64_t hash() const { return hash_; }
  [[nodiscard]] unsigned connections() const { return connections_made_; }
  std::function<void(const net::WriteBatch&, unsigned side)> on_write = [](auto&, unsigned) {};

 private:
  struct Connection;
  struct Event {
    std::int64_t at_ns;
    std::uint64_t order;
    std::function<void()> run;
  };

  std::uint64_t draw();
  bool chance(double probability);
  void at(std::int64_t at_ns, std::function<void()> run);
  void pump();
  bool pump_side(unsigned i);
  bool act(unsigned i);
  void dial(unsigned lane);
  void accept(const std::shared_ptr<Connection>& connection, std::vector<std::byte> bytes);
  void transmit(
      const std::shared_ptr<Connection>& connection, unsigned from, std::vector<std::byte> bytes);
  std::vector<std::byte> disturb(std::vector<std::byte> bytes);
  void arrive(
      const std::shared_ptr<Connection>& connection, unsigned to, std::vector<std::byte> bytes);
  void close(std::shared_ptr<Connection> connection, unsigned by);
  void hear_closed(const std::shared_ptr<Connection>& connection, unsigned side);
  void take(unsigned i, net::SessionEvent event);
  void take(unsigned i, net::Delivery& delivery);
  void check_bounds(unsigned i) const;
  [[noreturn]] void fail(const std::string& what) const;

  Options options_;
  std::unique_ptr<Random> random_;
  std::unique_ptr<Random> session_random_;
  std::int64_t now_ns_ = 0;
  std::uint64_t orders_ = 0;
  std::vector<Event> heap_;
  Side sides_[2];
  std::vector<std::shared_ptr<Connection>> current_[2];  // by lane
  bool partitioned_ = false;
  bool listening_ = true;
  bool offering_ = true;
  std::uint64_t hash_ = 0;
  unsigned connections_made_ = 0;
};

/// A link, its faults and two sessions' options drawn from the seed: faults for a while (safety),
/// then none (liveness). Throws when something that must hold does not.
void run_seed(std::uint64_t seed);

}  // namespace troupe::testing
