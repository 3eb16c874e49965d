#include "cluster.hpp"
#include "cutting_proxy.hpp"
#include "numbered.hpp"
#include "support/proof.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

namespace troupe::testing {
namespace {

/// What message `number` carries: up to some hundred bytes that follow from the number.
std::vector<std::byte> bytes_of(std::uint64_t number) {
  std::vector<std::byte> bytes(number * 7 % 293);
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::byte>((number + i) * 31 + (number >> 8));
  return bytes;
}

/// What came, looked at outside of what is under test.
struct Ledger {
  std::atomic<std::uint64_t> next{0};  // which is to come
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> marked{~std::uint64_t{0}};
  std::atomic<std::int64_t> marked_ns{0};
  std::mutex mutex;
  std::string reason;  // why the peer was given up at the far end
};
std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

class Clerk final : public Actor<Numbered> {
 public:
  explicit Clerk(Ledger& ledger) : ledger_(ledger) {}

 private:
  friend ActorAccess;
  void on(const Numbered& came) {
    const auto right = bytes_of(came.number);
    if (came.number != ledger_.next || !std::ranges::equal(came.bytes.span(), right))
      ++ledger_.wrong;
    if (came.number == ledger_.marked) ledger_.marked_ns = now_ns();
    ++ledger_.next;
  }
  Ledger& ledger_;
};

/// Remembers why a peer went.
class Mourner final : public Actor<net::PeerUp, net::PeerDown> {
 public:
  explicit Mourner(Ledger& ledger) : ledger_(ledger) {}

 private:
  friend ActorAccess;
  void on(const net::PeerUp&) {}
  void on(const net::PeerDown& down) {
    const std::lock_guard lock(ledger_.mutex);
    ledger_.reason = down.reason.message();
  }
  Ledger& ledger_;
};

/// Two nodes, and the proxy between them.
struct Through {
  Through(bool secure, std::uint64_t seed, const std::function<void(net::NetworkOptions&)>& change)
      : authority(secure ? net::make_authority("lab", 10).value() : net::Credentials()),
        here("here", secure ? security_of(authority, "here") : nullptr, {}, change),
        there("there", secure ? security_of(authority, "there") : nullptr, {}, change),
        proxy(there.network->listen({"127.0.0.1", 0}), seed) {
    here.system.pending_outside(1);
    there.system.pending_outside(1);
    runner = std::thread([this] {
      there.system.wait_until([this] { return ended.load(); }, "the end of the test");
    });
    there.network->publish("clerk", there.system.spawn<Clerk>(ledger));
    there.network->watch_peers(there.system.spawn<Mourner>(ledger));
    (void)here.network->connect(proxy.at()).get();
    clerk = here.network->find("there", "clerk").get().as<Numbered>();
    monitor(clerk, here.system.spawn<Watcher>(downs));
  }
  ~Through() {
    proxy.set({});
    clerk = {};
    here.network->stop();
    ended = true;
    there.system.notify_waiters();
    runner.join();
    there.system.pending_outside(-1);
    here.system.pending_outside(-1);
  }

  void send(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i, ++sent)
      clerk.send(Numbered{sent, Bytes::copy_of(bytes_of(sent))});
    look();
  }
  /// Gives what was sent to the network: no other thread runs this node's actors.
  void look() {
    here.system.run_ready();
    here.system.wait_until([n = 0]() mutable { return n++ > 0; }, "a look");
  }
  /// Until at most `left` of what was sent has not come.
  void wait(std::uint64_t left = 0) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (ledger.next + left < sent) {
      if (std::chrono::steady_clock::now() > until) fail_waiting();
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      look();
    }
  }
  [[noreturn]] void fail_waiting() {
    const std::lock_guard lock(ledger.mutex);
    throw std::runtime_error(
        "message " + std::to_string(ledger.next) + " of " + std::to_string(sent) +
        " does not come: " + (downs.empty() ? "" : downs[0].reason.message() + "; ") +
        "there: " + ledger.reason + "; " + state_of(here) + state_of(there));
  }
  static std::string state_of(Node& node) {
    std::string text = node.network->node() + ": ";
    for (const net::PeerStatus& peer : node.network->peers())
      text += (peer.up ? "up, " : "not up, ") + std::to_string(peer.resumes) + " resumes, " +
              std::to_string(peer.waiting_messages) + " wait, " +
              std::to_string(peer.credit_bytes) + " credit, last trouble: " + peer.trouble;
    const std::lock_guard lock(node.mutex);
    if (!node.log.empty()) text += "; log: " + node.log.back();
    return text + ". ";
  }

  Ledger ledger;
  net::Credentials authority;
  Node here;
  Node there;
  CuttingProxy proxy;
  std::vector<Down> downs;
  Address<Numbered> clerk;
  std::uint64_t sent = 0;
  std::atomic<bool> ended{false};
  std::thread runner;
};

void know_numbered(net::NetworkOptions& options) {
  options.messages.push_back(&MessageList<70'010, 70'019, Numbered>::find);
}

}  // namespace

// Goal: promise 1: no message is lost, doubled or out of order over any number of reconnects, and
// the first one after the network heals comes soon.
// Method: a proxy cuts connections: between calls, at random bytes, and for a while in which none
// come about; the ledger at the far end counts. Ten messages for each connection that is cut.
TEST_CASE("messages arrive once and in order over connections that are cut", "[net][proof]") {
  const bool secure = GENERATE(false, true);
  const std::uint64_t messages = share(1'000'000) / 2;  // the other half with TLS, or without
  const std::uint64_t cuts = share(1'000) / 2;
  constexpr std::uint64_t seed = 1;
  CAPTURE(secure, seed);
  const auto random = make_seeded_random(seed);
  Through pair(secure, seed, [](net::NetworkOptions& options) {
    know_numbered(options);
    options.session.orphan_ns = 2'000'000'000;  // the machine may be busy
  });
  std::vector<std::int64_t> resumed_ns;
  while (pair.sent < messages || pair.proxy.cuts() < cuts) {
    const std::uint64_t part = messages / cuts;
    switch (random->next() % 3) {
      case 0:  // at once
        pair.send(part * (random->next() % 100) / 100);
        pair.proxy.cut();
        break;
      case 1: {  // and nothing comes about for some milliseconds
        pair.send(part * (random->next() % 100) / 100);
        Faults faults;
        faults.refuse = true;
        pair.proxy.set(faults);
        pair.proxy.cut();
        pair.send(part / 10);
        std::this_thread::sleep_for(std::chrono::milliseconds(random->next() % 50));
        pair.proxy.set({});
        break;
      }
      default: {  // at a random byte
        Faults faults;
        faults.bytes_to_cut = 1 + random->next() % (part * 100);
        pair.proxy.set(faults);
        const std::uint64_t before = pair.proxy.cuts();
        // No longer than to the first: of a network that cuts within each 16 KiB, TLS's records
        // are never whole.
        for (int i = 0; i < 1000 && pair.proxy.cuts() == before; ++i) {
          if (pair.sent - pair.ledger.next < part) pair.send(part / 10);
          std::this_thread::sleep_for(std::chrono::microseconds(100));
          pair.look();
        }
        pair.proxy.set({});
        break;
      }
    }
    // The network is whole again: from here to the arrival of what is sent next.
    pair.ledger.marked = pair.sent;
    const std::int64_t healed_ns = now_ns();
    pair.send(1);
    pair.wait();
    resumed_ns.push_back(pair.ledger.marked_ns - healed_ns);
    REQUIRE(pair.ledger.wrong == 0);
  }
  CHECK(pair.ledger.next == pair.sent);
  std::ranges::sort(resumed_ns);
  const double median_ms = static_cast<double>(resumed_ns[resumed_ns.size() / 2]) / 1e6;
  const double slowest_ms = static_cast<double>(resumed_ns.back()) / 1e6;
  std::printf(
      "%s: %llu messages, %llu connections cut; resumed after %.1f ms (median), %.1f ms (most)\n",
      secure ? "TLS" : "plain",
      static_cast<unsigned long long>(pair.sent),
      static_cast<unsigned long long>(pair.proxy.cuts()),
      median_ms,
      slowest_ms);
  // Promised are 250 ms at most. A machine that does other things besides is given more for one.
  CHECK(median_ms <= 250);
  CHECK(slowest_ms <= 2000);
}

// Goal: promise 11: a bit that is flipped under way is noticed, wherever it is.
// Method: the proxy flips one bit of each connection, at a random place of the greeting or of what
// comes behind it. Noticed: the connection ends, though nobody cuts it. Each costs a connection, so
// this is a tenth of the share; backing off is turned down.
TEST_CASE("every flipped bit ends its connection, and no message is wrong", "[net][proof]") {
  const bool secure = GENERATE(false, true);
  const std::uint64_t flips = share(secure ? 20'000 : 80'000) / 10;
  constexpr std::uint64_t seed = 2;
  CAPTURE(secure, seed);
  Through pair(secure, seed, [](net::NetworkOptions& options) {
    know_numbered(options);
    options.session.orphan_ns = 2'000'000'000;
    options.session.backoff_min_ns = 100'000;
    options.session.backoff_max_ns = 5'000'000;
    options.session.faults_max = 1'000;
    options.session.chatter_per_s = 100'000;  // each connection beats at once
  });
  Faults faults;
  faults.bytes_to_flip = secure ? 16'000 : 4'000;
  pair.proxy.set(faults);
  while (pair.proxy.flips() < flips) {
    pair.send(16);
    pair.wait(64);
    REQUIRE(pair.ledger.wrong == 0);
  }
  pair.proxy.set({});
  // Beats and what is to come look at every byte that is under way.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (pair.proxy.flipped_alive() > (secure ? flips / 100 : 0) &&
         std::chrono::steady_clock::now() < until) {
    pair.send(16);
    pair.wait();
  }
  pair.wait();
  // TLS has all but these protected: the version in front of each record of the greeting, which RFC
  // 8446 has ignored. The others are some thousand bits.
  CHECK(pair.proxy.flipped_alive() <= (secure ? flips / 100 : 0));
  CHECK(pair.ledger.wrong == 0);
  CHECK(pair.ledger.next == pair.sent);
  std::printf(
      "%s: %llu bits flipped, %llu messages\n",
      secure ? "TLS" : "plain",
      static_cast<unsigned long long>(pair.proxy.flips()),
      static_cast<unsigned long long>(pair.sent));
}

// Half-open: nothing is closed, and nothing comes. Silence is what tells.
TEST_CASE("connections that stand still are replaced, and nothing is lost", "[net][proof]") {
  Through pair(GENERATE(false, true), 3, [](net::NetworkOptions& options) {
    know_numbered(options);
    options.session.heartbeat_ns = 50'000'000;
    options.session.silence_ns = 300'000'000;
    options.session.down_ns = 10'000'000'000;
    options.session.orphan_ns = 10'000'000'000;
  });
  pair.send(100);
  pair.wait();
  Faults faults;
  faults.freeze = true;
  pair.proxy.set(faults);
  pair.send(100);
  std::this_thread::sleep_for(std::chrono::milliseconds(800));
  CHECK(pair.ledger.next == 100);
  pair.proxy.set({});
  pair.send(100);
  pair.wait();
  CHECK(pair.ledger.wrong == 0);
  CHECK(pair.here.network->peers().at(0).resumes > 0);
}

TEST_CASE("a slow and late network keeps the order", "[net][proof]") {
  Through pair(GENERATE(false, true), 4, know_numbered);
  Faults faults;
  faults.delay_ns = 20'000'000;
  faults.bytes_per_s = 100'000;
  pair.proxy.set(faults);
  const std::int64_t began_ns = now_ns();
  pair.send(300);  // some 60 KB
  pair.wait();
  CHECK(pair.ledger.wrong == 0);
  CHECK(now_ns() - began_ns > 300'000'000);
  CHECK(pair.here.network->peers().at(0).resumes == 0);
}

// Promise 4: a network that lets a byte through from time to time is as good as none.
TEST_CASE("a peer behind a network that drips is down within its time", "[net][proof]") {
  Through pair(GENERATE(false, true), 5, know_numbered);
  std::vector<Down>& downs = pair.downs;
  pair.send(10);
  pair.wait();
  Faults faults;
  faults.bytes_per_s = 1;
  pair.proxy.set(faults);
  pair.send(10);
  const std::int64_t began_ns = now_ns();
  while (downs.empty() && now_ns() - began_ns < 10'000'000'000) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    pair.look();
  }
  REQUIRE(downs.size() == 1);
  CHECK(now_ns() - began_ns < 4'000'000'000);  // 3 s are promised; the machine may be busy
  CHECK(downs[0].failed);
  CHECK(
      (downs[0].reason.code() == ErrorCode::peer_down ||
       downs[0].reason.code() == ErrorCode::timed_out));
}

}  // namespace troupe::testing
