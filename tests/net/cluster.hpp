#pragma once

#include <troupe/core/clock.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/net/certificates.hpp>
#include <troupe/net/network.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace troupe::testing {

using net::Endpoint;

struct Add {
  static constexpr MessageId id{70'000};
  static constexpr std::string_view name = "add";
  std::int64_t amount = 0;
  template <class V>
  void fields(V& visit) {
    visit.field("amount", amount);
  }
};
struct Total {
  static constexpr MessageId id{70'001};
  static constexpr std::string_view name = "total";
  std::int64_t value = 0;
  template <class V>
  void fields(V& visit) {
    visit.field("value", value);
  }
};
struct Ask {
  static constexpr MessageId id{70'002};
  static constexpr std::string_view name = "ask";
  Address<Total> reply_to;
  template <class V>
  void fields(V& visit) {
    visit.field("reply_to", reply_to);
  }
};
struct Fail {
  static constexpr MessageId id{70'003};
  static constexpr std::string_view name = "fail";
  std::string why;
  template <class V>
  void fields(V& visit) {
    visit.field("why", why);
  }
};
struct Parcel {
  static constexpr MessageId id{70'004};
  static constexpr std::string_view name = "parcel";
  Bytes bytes;
  Bytes more;
  Address<Parcel> reply_to;
  template <class V>
  void fields(V& visit) {
    visit.field("bytes", bytes);
    visit.field("more", more);
    visit.field("reply_to", reply_to);
  }
};
struct Token {
  static constexpr MessageId id{70'005};
  static constexpr std::string_view name = "token";
  Address<> actor;
  Address<Token> reply_to;
  template <class V>
  void fields(V& visit) {
    visit.field("actor", actor);
    visit.field("reply_to", reply_to);
  }
};
using Known = MessageList<70'000, 70'099, Add, Total, Ask, Fail, Parcel, Token>;

class Counter final : public Actor<Add, Ask, Fail> {
 public:
  static constexpr std::string_view name = "counter";
  explicit Counter(std::int64_t from = 0) : total_(from) {}

 private:
  friend ActorAccess;
  void on(const Add& add) { total_ += add.amount; }
  void on(const Ask& ask) { ask.reply_to.send(Total{total_}); }
  void on(const Fail& fail) { throw Error(ErrorCode::op_failed, fail.why); }
  std::int64_t total_;
};
struct CounterArguments {
  std::int64_t from = 0;
  template <class V>
  void fields(V& visit) {
    visit.field("from", from);
  }
};

class Echo final : public Actor<Parcel, Token> {
 public:
  static constexpr std::string_view name = "echo";

 private:
  friend ActorAccess;
  void on(Parcel&& parcel) {
    const auto to = std::exchange(parcel.reply_to, {});
    to.send(std::move(parcel));
  }
  void on(Token&& token) {
    const auto to = std::exchange(token.reply_to, {});
    to.send(std::move(token));
  }
};

class Watcher final : public Actor<Down> {
 public:
  explicit Watcher(std::vector<Down>& downs) : downs_(downs) {}

 private:
  friend ActorAccess;
  void on(Down&& down) { downs_.push_back(std::move(down)); }
  std::vector<Down>& downs_;
};

/// What a node needs to prove that it is one of this authority's.
inline std::shared_ptr<const net::Security> security_of(
    const net::Credentials& authority, const std::string& node) {
  return net::Security::make(
             authority.certificate,
             net::issue(authority, node, {"127.0.0.1", "localhost"}, 5).value())
      .value();
}

/// A process of a cluster, but for the process.
struct Node {
  explicit Node(
      const std::string& name,
      std::shared_ptr<const net::Security> security,
      const std::string& cluster = {},
      const std::function<void(net::NetworkOptions&)>& change = {})
      : system({.threads = 1, .log = [this](LogLevel, std::string_view line) {
                  const std::lock_guard lock(mutex);
                  log.emplace_back(line);
                }}) {
    net::NetworkOptions options{.node = name, .cluster = cluster, .security = std::move(security)};
    options.messages.push_back(&Known::find);
    options.session.open_ns = 2'000'000'000;
    if (change) change(options);
    network = &net::attach(system, std::move(options));
  }

  [[nodiscard]] std::size_t logged(std::string_view part) {
    const std::lock_guard lock(mutex);
    std::size_t count = 0;
    for (const std::string& line : log) count += line.find(part) != std::string::npos;
    return count;
  }

  std::mutex mutex;
  std::vector<std::string> log;
  System system;
  net::Network* network = nullptr;
};

/// Two nodes that are connected: `here` has dialed `there`. A thread runs `there`'s actors.
struct Pair {
  explicit Pair(bool secure = false, const std::function<void(net::NetworkOptions&)>& change = {})
      : authority(secure ? net::make_authority("lab", 10).value() : net::Credentials()),
        here("here", secure ? security_of(authority, "here") : nullptr, {}, change),
        there("there", secure ? security_of(authority, "there") : nullptr, {}, change) {
    at = there.network->listen({"127.0.0.1", 0});
    there.system.pending_outside(1);  // the test
    here.system.pending_outside(1);
    runner = std::thread([this] {
      there.system.wait_until([this] { return ended.load(); }, "the end of the test");
    });
    auto up = here.network->connect(at);
    if (up.get().node != "there") throw std::runtime_error("somebody else answers");
  }
  ~Pair() {
    ended = true;
    there.system.notify_waiters();
    runner.join();
    there.system.pending_outside(-1);
    here.system.pending_outside(-1);
  }

  /// Runs both until it is so; fails after ten seconds.
  void wait(const std::function<bool()>& done) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!done()) {
      here.system.run_ready();
      if (std::chrono::steady_clock::now() > until) throw std::runtime_error("it does not come");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      here.system.wait_until([n = 0]() mutable { return n++ > 0; }, "a look");
    }
  }

  net::Credentials authority;
  Node here;
  Node there;
  Endpoint at;
  std::atomic<bool> ended{false};
  std::thread runner;
};

}  // namespace troupe::testing
