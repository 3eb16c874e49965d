#include "cluster.hpp"
#include "numbered.hpp"

#include <troupe/core/monitor.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace troupe::testing {
namespace {

using Catch::Matchers::ContainsSubstring;

/// The error that a call ends with.
template <class Call>
Error error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  FAIL("it did not throw");
  return {};
}

/// Takes its time for what it is given: in one turn, or in one that each sends the next.
class Digger final : public Actor<Add, Ask> {
 public:
  explicit Digger(std::atomic<bool>& may_end) : may_end_(may_end) {}

 private:
  friend ActorAccess;
  void on(const Add& add) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    if (add.amount > 1) self().send(Add{add.amount - 1});
  }
  void on(const Ask& ask) {
    while (!may_end_) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ask.reply_to.send(Total{1});
  }
  std::atomic<bool>& may_end_;
};

/// A kernel of chunks that each take their time.
class Slow final : public Work {
 public:
  explicit Slow(System& system) : Work(system) {
    chunks[0] = 100;
    phases = 1;
  }

 private:
  void run_chunk(std::uint32_t, std::uint32_t) noexcept override {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  void destroy() noexcept override { delete this; }
};

class Launcher final : public Actor<Add> {
 private:
  friend ActorAccess;
  void on(const Add&) { system().submit(Ref<Slow>::adopt(new Slow(system()))); }
};

/// Heartbeats come often, and half a second without progress is too long.
void impatient(net::NetworkOptions& options) {
  options.session.heartbeat_ns = 20'000'000;
  options.session.hung_ns = 500'000'000;
}

}  // namespace

TEST_CASE("an actor of another process is used like one of this", "[net]") {
  Pair pair(GENERATE(false, true));
  const auto counter = pair.there.system.spawn<Counter>();
  pair.there.network->publish("counter", counter);
  const auto remote = pair.here.network->find("there", "counter").get().as<Add, Ask>();
  CHECK(pair.here.network->node_of(remote) == "there");
  CHECK(pair.here.network->node_of(pair.here.system.spawn<Counter>()).empty());
  for (int i = 1; i <= 1000; ++i) remote.send(Add{i});
  auto total = ask<Total>(remote, [](Address<Total> to) { return Ask{to}; });
  CHECK(total.get().value == 500'500);
}

TEST_CASE("what is not there is said, with what to do", "[net]") {
  Pair pair;
  const Error unknown =
      error_of([&] { (void)pair.here.network->find("there", "x").get().as<Add>(); });
  CHECK(unknown.code() == ErrorCode::invalid_argument);
  CHECK_THAT(unknown.what(), ContainsSubstring("node 'there' has no actor called 'x'"));
  CHECK_THAT(unknown.hint(), ContainsSubstring("publish"));
  CHECK(error_of([&] {
          (void)pair.here.network->find("nobody", "x");
        }).code() == ErrorCode::peer_down);
  const Error kind = error_of(
      [&] { (void)pair.here.network->spawn("there", "x", CounterArguments{}).get().as<Add>(); });
  CHECK_THAT(kind.what(), ContainsSubstring("does not make actors called 'x'"));
}

TEST_CASE("bytes of a message arrive as they were, of any size", "[net]") {
  Pair pair(GENERATE(false, true));
  pair.there.network->publish("echo", pair.there.system.spawn<Echo>());
  const auto echo = pair.here.network->find("there", "echo").get().as<Parcel>();
  for (const std::size_t size : {0UL, 1UL, 63UL, 65'536UL, (1UL << 20) + 1, 40UL << 20}) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 7 + i / 251);
    auto back = ask<Parcel>(echo, [&](Address<Parcel> to) {
      return Parcel{Bytes::copy_of(bytes), Bytes::copy_of(std::span(bytes).first(size % 100)), to};
    });
    const Parcel& came = back.get();
    REQUIRE(came.bytes.size() == size);
    CHECK(std::ranges::equal(came.bytes.span(), bytes));
    CHECK(came.more.size() == size % 100);
  }
}

TEST_CASE("an address of one's own comes back as the same actor", "[net]") {
  Pair pair;
  pair.there.network->publish("echo", pair.there.system.spawn<Echo>());
  const auto echo = pair.here.network->find("there", "echo").get().as<Token>();
  const auto counter = pair.here.system.spawn<Counter>();
  auto back = ask<Token>(echo, [&](Address<Token> to) { return Token{counter, to}; });
  CHECK(back.get().actor == Address<>(counter));
  // The same remote actor twice is the same address.
  const auto again = pair.here.network->find("there", "echo").get().as<Token>();
  CHECK(again == echo);
}

TEST_CASE("a peer has an actor made, within what is offered", "[net]") {
  Pair pair;
  pair.there.network->offer<CounterArguments>("counter", [](System& system, CounterArguments&& a) {
    if (a.from < 0) throw Error(ErrorCode::invalid_argument, "'from' is negative");
    return system.spawn<Counter>(a.from);
  });
  {
    const auto made =
        pair.here.network->spawn("there", "counter", CounterArguments{40}).get().as<Add, Ask>();
    made.send(Add{2});
    CHECK(ask<Total>(made, [](Address<Total> to) { return Ask{to}; }).get().value == 42);
    pair.wait([&] { return pair.there.system.actors_alive() == 1; });
  }
  // Nobody has its address any more: it ends there too.
  pair.wait([&] { return pair.there.system.actors_alive() == 0; });
  const Error refused = error_of([&] {
    (void)pair.here.network->spawn("there", "counter", CounterArguments{-1}).get().as<Add>();
  });
  CHECK(refused.message() == "'from' is negative");
}

TEST_CASE("a remote actor's end reaches its monitors once, and links", "[net]") {
  Pair pair;
  const auto faulty = pair.there.system.spawn<Counter>();
  pair.there.network->publish("counter", faulty);
  const auto remote = pair.here.network->find("there", "counter").get().as<Add, Fail>();
  std::vector<Down> downs;
  const auto watcher = pair.here.system.spawn<Watcher>(downs);
  monitor(remote, watcher);
  const auto linked = pair.here.system.spawn<Counter>();
  link(remote, linked);
  remote.send(Fail{"broken"});
  pair.wait([&] { return downs.size() == 1 && linked.cell()->stopped(); });
  CHECK(downs[0].failed);
  CHECK_THAT(downs[0].reason.what(), ContainsSubstring("broken"));
  CHECK(downs[0].actor == Address<>(remote));
}

TEST_CASE("a peer that goes is down for all who watch, at once", "[net]") {
  Pair pair(GENERATE(false, true));
  pair.there.network->publish("counter", pair.there.system.spawn<Counter>());
  const auto remote = pair.here.network->find("there", "counter").get().as<Add, Ask>();
  std::vector<Down> downs;
  monitor(remote, pair.here.system.spawn<Watcher>(downs));
  auto question = ask<Total>(remote, [](Address<Total> to) { return Ask{to}; });
  CHECK(question.get().value == 0);
  const std::int64_t before = pair.here.system.clock().now_ns();
  pair.there.network->stop();
  pair.wait([&] { return downs.size() == 1; });
  CHECK(pair.here.system.clock().now_ns() - before < 1'000'000'000);
  CHECK(downs[0].failed);
  CHECK(error_of([&] {
          (void)pair.here.network->find("there", "counter");
        }).code() == ErrorCode::peer_down);
  remote.send(Add{1});  // is dropped, as for any that has stopped
  auto late = ask<Total>(remote, [](Address<Total> to) { return Ask{to}; });
  CHECK(error_of([&] { (void)late.get(); }).code() == ErrorCode::actor_down);
}

TEST_CASE("a peer that hangs is down, and says so; it may come again", "[net]") {
  Pair pair(false, impatient);
  std::atomic<bool> may_end{false};
  pair.there.network->publish("digger", pair.there.system.spawn<Digger>(may_end));
  std::vector<Down> downs;
  {
    const auto digger = pair.here.network->find("there", "digger").get().as<Add, Ask>();
    monitor(digger, pair.here.system.spawn<Watcher>(downs));
    const auto began = std::chrono::steady_clock::now();
    auto answer = ask<Total>(digger, [](Address<Total> to) { return Ask{to}; });
    pair.wait([&] { return !downs.empty(); });
    const auto after = std::chrono::steady_clock::now() - began;
    CHECK(after > std::chrono::milliseconds(450));
    CHECK(after < std::chrono::seconds(3));  // a busy machine may be late
    CHECK_THROWS_AS(answer.get(), Error);
  }
  CHECK(downs.size() == 1);
  CHECK(downs[0].reason.code() == ErrorCode::peer_hung);
  CHECK_THAT(downs[0].reason.message(), ContainsSubstring("peer 'there': it hangs"));
  may_end = true;
  CHECK(pair.here.network->connect(pair.at).get().node == "there");
  const auto digger = pair.here.network->find("there", "digger").get().as<Add, Ask>();
  CHECK(ask<Total>(digger, [](Address<Total> to) { return Ask{to}; }).get().value == 1);
}

TEST_CASE("a peer that computes for long, or does nothing, does not hang", "[net]") {
  Pair pair(false, impatient);
  std::vector<Down> downs;
  std::atomic<bool> may_end{true};
  pair.there.network->publish("digger", pair.there.system.spawn<Digger>(may_end));
  pair.there.network->publish("launcher", pair.there.system.spawn<Launcher>());
  const auto digger = pair.here.network->find("there", "digger").get().as<Add, Ask>();
  const auto launcher = pair.here.network->find("there", "launcher").get().as<Add>();
  monitor(digger, pair.here.system.spawn<Watcher>(downs));
  const std::uint64_t before = pair.there.system.progress().done;
  digger.send(Add{100});  // a second of short turns
  pair.wait([&] { return pair.there.system.progress().done >= before + 100; });
  launcher.send(Add{1});  // a turn of a second, with a kernel in it
  pair.wait([&] { return pair.there.system.progress().done >= before + 200; });
  std::this_thread::sleep_for(std::chrono::seconds(1));
  CHECK(ask<Total>(digger, [](Address<Total> to) { return Ask{to}; }).get().value == 1);
  CHECK(downs.empty());
}

TEST_CASE("a message that an actor does not take is refused, and the sender cut off", "[net]") {
  Pair pair;
  pair.there.network->publish("counter", pair.there.system.spawn<Counter>());
  // Behind the compiler's back.
  const auto wrong = pair.here.network->find("there", "counter").get().as<Parcel>();
  wrong.send(Parcel{});
  pair.wait([&] { return pair.there.logged("'counter' does not take") == 1; });
  for (int i = 0; i < 200; ++i) wrong.send(Parcel{});
  pair.wait([&] { return pair.there.network->peers().empty(); });
}

/// As `Numbered`, which nothing bounds, but that something else does.
struct Pallet : Numbered {
  static constexpr MessageId id{70'050};
  static constexpr std::string_view name = "pallet";
  static constexpr bool bounded = true;
};
using Cargo = MessageList<70'010, 70'050, Numbered, Pallet>;

/// Counts what comes in order.
class Dock final : public Actor<Numbered, Pallet> {
 public:
  explicit Dock(std::atomic<std::uint64_t>& next) : next_(next) {}

 private:
  friend ActorAccess;
  void on(const Numbered& numbered) { take(numbered); }
  void on(const Pallet& pallet) { take(pallet); }
  void take(const Numbered& came) {
    if (came.number == next_) ++next_;
  }
  std::atomic<std::uint64_t>& next_;
};

// Goal: what waits for a slow peer is bounded, and nothing is dropped without a word.
// Method: many more bytes than the peer gives credit for, in one turn of this side's.
TEST_CASE("a send beyond what may wait for a peer is an overload, told to its sender", "[net]") {
  constexpr std::uint64_t most = 1U << 20;
  Pair pair(false, [](net::NetworkOptions& options) {
    options.messages.push_back(&Cargo::find);
    options.session.credit_bytes = 256U << 10;
    options.quota.waiting_bytes = most;
  });
  std::atomic<std::uint64_t> next{0};
  pair.there.network->publish("dock", pair.there.system.spawn<Dock>(next));
  pair.there.network->publish("counter", pair.there.system.spawn<Counter>());
  const auto counter = pair.here.network->find("there", "counter").get().as<Add, Ask>();
  std::vector<Down> downs;
  const auto owner = std::make_shared<std::vector<std::byte>>(64U << 10);
  std::uint64_t waiting_most = 0;
  Address<Numbered, Pallet> again;
  {
    const auto dock = pair.here.network->find("there", "dock").get().as<Numbered, Pallet>();
    monitor(dock, pair.here.system.spawn<Watcher>(downs));
    for (std::uint64_t i = 0; i < 10'000; ++i) {
      dock.send(Numbered{i, Bytes(*owner, owner)});
      if (i % 100 == 99) pair.here.system.run_ready();
      waiting_most = std::max(waiting_most, pair.here.network->peers().at(0).waiting_bytes);
    }
    // This side alone goes on, so that the peer does not hear yet that the address was let go of.
    for (int i = 0; i < 1'000 && downs.empty(); ++i) {
      pair.here.system.run_ready();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    REQUIRE(downs.size() == 1);
    // Found again, it has another address, even while somebody holds the one that ended.
    again = pair.here.network->find("there", "dock").get().as<Numbered, Pallet>();
  }
  CHECK(waiting_most <= most);
  CHECK(waiting_most > most / 2);
  REQUIRE(downs.size() == 1);
  CHECK(downs[0].failed);
  CHECK(downs[0].reason.code() == ErrorCode::overload);
  CHECK_THAT(downs[0].reason.message(), ContainsSubstring("wait already until peer 'there'"));
  CHECK_THAT(downs[0].reason.hint(), ContainsSubstring("stream"));
  // The peer is there as before, and what was sent before came.
  counter.send(Add{5});
  CHECK(ask<Total>(counter, [](Address<Total> to) { return Ask{to}; }).get().value == 5);
  pair.wait([&] { return pair.here.network->peers().at(0).waiting_bytes == 0; });
  CHECK(next >= most / owner->size());
  const std::uint64_t came = next;
  CHECK(came < 10'000);
  again.send(Numbered{came, Bytes(*owner, owner)});
  pair.wait([&] { return next == came + 1; });
  again = {};
  pair.wait([&] { return pair.there.network->peers().at(0).exported == 1; });
}

TEST_CASE("what something else bounds may wait for a peer, however much it is", "[net]") {
  Pair pair(false, [](net::NetworkOptions& options) {
    options.messages.push_back(&Cargo::find);
    options.session.credit_bytes = 256U << 10;
    options.quota.waiting_bytes = 1U << 20;
  });
  std::atomic<std::uint64_t> next{0};
  pair.there.network->publish("dock", pair.there.system.spawn<Dock>(next));
  const auto dock = pair.here.network->find("there", "dock").get().as<Numbered, Pallet>();
  const auto owner = std::make_shared<std::vector<std::byte>>(64U << 10);
  for (std::uint64_t i = 0; i < 1000; ++i) dock.send(Pallet{{i, Bytes(*owner, owner)}});
  pair.wait([&] { return next == 1000; });
}

TEST_CASE("nothing of the peer stays when it is gone", "[net]") {
  Pair pair;
  pair.there.network->publish("echo", pair.there.system.spawn<Echo>());
  {
    const auto echo = pair.here.network->find("there", "echo").get().as<Token>();
    for (int i = 0; i < 100; ++i) {
      const auto counter = pair.here.system.spawn<Counter>();
      (void)ask<Token>(echo, [&](Address<Token> to) { return Token{counter, to}; }).get();
    }
  }
  pair.wait([&] { return pair.here.system.actors_alive() == 0; });
  pair.wait([&] { return pair.there.system.actors_alive() == 1; });
  pair.wait([&] { return pair.here.network->peers().at(0).imported == 0; });
  pair.wait([&] { return pair.there.network->peers().at(0).exported == 0; });
}

TEST_CASE("connections that cannot be are refused with the reason", "[net]") {
  Node alone("alone", {});
  Node other("other", {});
  SECTION("nobody listens") {
    const Error error = error_of([&] { (void)alone.network->connect({"127.0.0.1", 1}).get(); });
    CHECK(error.code() == ErrorCode::timed_out);
    CHECK_THAT(error.what(), ContainsSubstring("refused"));
  }
  SECTION("a name that does not resolve") {
    const Error error = error_of([&] {
      (void)alone.network->connect({"no-such-host.invalid", 1}).get();
    });
    CHECK_THAT(error.what(), ContainsSubstring("does not resolve"));
  }
  SECTION("a port in use") {
    const Endpoint at = other.network->listen({"127.0.0.1", 0});
    const Error error = error_of([&] { alone.network->listen(at); });
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK_THAT(error.hint(), ContainsSubstring("another port"));
  }
  SECTION("off this machine without certificates") {
    CHECK_THAT(
        error_of([&] {
          alone.network->listen({"0.0.0.0", 0});
        }).what(),
        ContainsSubstring("no certificates"));
    CHECK_THAT(
        error_of([&] {
          (void)alone.network->connect({"192.0.2.1", 1}).get();
        }).what(),
        ContainsSubstring("another machine"));
  }
  SECTION("another cluster") {
    Node strange("strange", {}, "elsewhere");
    const Endpoint at = other.network->listen({"127.0.0.1", 0});
    const Error error = error_of([&] { (void)strange.network->connect(at).get(); });
    CHECK(error.code() == ErrorCode::peer_mismatch);
    CHECK_THAT(error.what(), ContainsSubstring("another cluster"));
  }
}

TEST_CASE("certificates that prove nothing here are refused", "[net]") {
  const net::Credentials authority = net::make_authority("lab", 10).value();
  const net::Credentials other = net::make_authority("lab", 10).value();
  Node server("there", security_of(authority, "there"));
  const Endpoint at = server.network->listen({"127.0.0.1", 0});
  SECTION("of another authority") {
    Node client("here", security_of(other, "here"));
    const Error error = error_of([&] { (void)client.network->connect(at).get(); });
    CHECK(error.code() == ErrorCode::peer_mismatch);
  }
  SECTION("of another node than was asked for") {
    Node client("here", security_of(authority, "here"));
    const Error error = error_of([&] { (void)client.network->connect(at, "somebody").get(); });
    CHECK(error.code() == ErrorCode::peer_mismatch);
    CHECK_THAT(error.what(), ContainsSubstring("'there'"));
  }
  SECTION("none at all") {
    Node client("here", {});
    const Error error = error_of([&] { (void)client.network->connect(at).get(); });
    CHECK(error.code() != ErrorCode::internal);
  }
  SECTION("a name of one's own choice") {
    CHECK_THROWS_AS(Node("else", security_of(authority, "here")), Error);
  }
}

}  // namespace troupe::testing
