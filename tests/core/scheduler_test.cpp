#include "messages.hpp"

#include <troupe/core/executor.hpp>
#include <troupe/core/monitor.hpp>
#include <troupe/core/poller.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/sim.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <thread>

namespace troupe::testing {
namespace {

/// Passes tokens on in a ring, and counts those that arrived.
class Station final : public Actor<Token, Held> {
 public:
  explicit Station(std::atomic<int>& arrived) : arrived_(arrived) {}
  Address<Token> next;

  /// A ring of so many, in which each knows the next.
  static std::vector<Address<Token, Held>> ring(
      System& system, int count, std::atomic<int>& arrived) {
    std::vector<Address<Token, Held>> stations;
    for (int i = 0; i < count; ++i) stations.push_back(system.spawn<Station>(arrived));
    for (int i = 0; i < count; ++i)
      ActorAccess::body_if<Station>(*stations[i].cell())->next = stations[(i + 1) % count];
    return stations;
  }

 private:
  friend ActorAccess;
  void on(const Token& token) {
    if (token.left == 0) {
      arrived_.fetch_add(1);
    } else {
      next.send(Token{token.left - 1});
    }
  }
  void on(Held&&) {}
  std::atomic<int>& arrived_;
};

/// Checks that each sender's numbers come in order, and that no two turns overlap.
class Checker final : public Actor<Number> {
 public:
  explicit Checker(std::atomic<std::int64_t>& seen) : seen_(seen) {}

 private:
  friend ActorAccess;
  void on(const Number& number) {
    if (inside_.exchange(true)) seen_.store(-1'000'000'000);
    std::int64_t& last = last_[number.sender];
    if (number.value != last + 1) seen_.store(-1'000'000'000);
    last = number.value;
    inside_.store(false);
    seen_.fetch_add(1);
  }
  std::atomic<bool> inside_{false};
  std::int64_t last_[16] = {};
  std::atomic<std::int64_t>& seen_;
};

/// A kernel that checks the rules for chunks.
class Kernel final : public Work {
 public:
  Kernel(System& system, std::initializer_list<std::uint32_t> counts) : Work(system) {
    for (const std::uint32_t count : counts) chunks[phases++] = count;
  }
  std::atomic<int> ran{0};
  std::atomic<int> wrong{0};
  std::atomic<bool> over{false};

 private:
  void run_chunk(std::uint32_t phase, std::uint32_t chunk) noexcept override {
    if (over.load() || chunk >= chunks[phase]) wrong.fetch_add(1);
    for (std::uint32_t p = 0; p < phase; ++p)
      if (done_[p].load() != chunks[p]) wrong.fetch_add(1);
    for (int i = 0; i < 200; ++i) spent_.fetch_add(1, std::memory_order_relaxed);
    done_[phase].fetch_add(1);
    ran.fetch_add(1);
  }
  void finished() noexcept override { over.store(true); }
  void destroy() noexcept override { delete this; }
  std::atomic<std::uint32_t> done_[phases_max] = {};
  std::atomic<int> spent_{0};
};

/// Launches a kernel in its turn and takes the news of its end.
class Launcher final : public Actor<Token, Completed> {
 public:
  explicit Launcher(std::atomic<int>& completed) : completed_(completed) {}

 private:
  friend ActorAccess;
  void on(const Token& token) {
    kernel_ = Ref<Kernel>::adopt(new Kernel(system(), {5, 0, 1, 7}));
    system().submit(kernel_);
    kernel_->notify(self(), static_cast<std::uint64_t>(token.left));
  }
  void on(const Completed&) {
    if (kernel_->complete() && kernel_->ran == 13 && kernel_->wrong == 0) completed_.fetch_add(1);
  }
  Ref<Kernel> kernel_;
  std::atomic<int>& completed_;
};

class Waiter final : public Actor<Token> {
 public:
  explicit Waiter(std::atomic<int>& refused) : refused_(refused) {}

 private:
  friend ActorAccess;
  void on(const Token&) {
    try {
      system().wait_until([] { return true && false; }, "what never comes");
    } catch (const Error& error) {
      if (error.code() == ErrorCode::inside_actor &&
          error.hint().find("message") != std::string::npos)
        refused_.fetch_add(1);
    }
  }
  std::atomic<int>& refused_;
};

/// Sleeps, as decoding a large image would keep a thread.
class Heavy final : public Actor<Token> {
 public:
  static constexpr bool heavy = true;
  explicit Heavy(std::atomic<int>& arrived) : arrived_(arrived) {}

 private:
  friend ActorAccess;
  void on(const Token&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    arrived_.fetch_add(1);
  }
  std::atomic<int>& arrived_;
};

/// An outside in which things happen when the test says so.
class Outside final : public Poller {
 public:
  void happen(std::function<void()> what) {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(what));
    changed_.notify_all();
  }
  void poll() noexcept override {
    std::unique_lock lock(mutex_);
    if (inside_.exchange(true)) overlapped = true;
    pollers.insert(std::this_thread::get_id());
    changed_.wait(lock, [this] { return interrupted_ || !events_.empty(); });
    if (!std::exchange(interrupted_, false)) {
      const auto what = std::move(events_.front());
      events_.pop_front();
      lock.unlock();
      what();
      lock.lock();
    }
    inside_ = false;
  }
  void interrupt() noexcept override {
    const std::lock_guard lock(mutex_);
    interrupted_ = true;
    changed_.notify_all();
  }
  [[nodiscard]] bool polled() const noexcept { return inside_; }

  std::set<std::thread::id> pollers;  // while nobody polls
  std::atomic<bool> overlapped{false};

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> events_;
  bool interrupted_ = false;
  std::atomic<bool> inside_{false};
};

void until(const std::function<bool()>& done) {
  for (int i = 0; i < 10'000 && !done(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  REQUIRE(done());
}

/// Looks at its system's progress in its turn, which ends when it may.
class Looker final : public Actor<Token> {
 public:
  Looker(std::atomic<bool>& looked, std::atomic<bool>& may_end)
      : looked_(looked), may_end_(may_end) {}

 private:
  friend ActorAccess;
  void on(const Token&) {
    looked_.store(system().progress().busy);
    while (!may_end_.load()) std::this_thread::yield();
  }
  std::atomic<bool>& looked_;
  std::atomic<bool>& may_end_;
};

}  // namespace

TEST_CASE("tokens go round a ring on any number of threads", "[core][stress]") {
  const unsigned threads = GENERATE(1u, 2u, 4u);
  std::atomic<int> arrived{0};
  System system({.threads = threads});
  CHECK(system.threads() == threads);
  const auto stations = Station::ring(system, 10, arrived);
  for (int i = 0; i < 8; ++i) stations[i].send(Token{5'000});
  system.wait_until([&] { return arrived == 8; }, "all tokens");
  for (const auto& station : stations) stop(station);
}

TEST_CASE("a sender's order is kept and turns never overlap", "[core][stress]") {
  const unsigned threads = GENERATE(1u, 3u);
  std::atomic<std::int64_t> seen{0};
  System system({.threads = threads});
  auto checker = system.spawn<Checker>(seen);
  constexpr std::int64_t each = 5'000;
  std::vector<std::thread> senders;
  for (std::uint32_t s = 0; s < 4; ++s) {
    senders.emplace_back([&, s] {
      // Half of them with a seat, half through the injection queue.
      std::optional<Scheduler::CallerGuard> guard;
      if (s % 2) guard.emplace(system);
      for (std::int64_t i = 1; i <= each; ++i) checker.send(Number{i, s});
    });
  }
  system.pending_outside(1);
  system.wait_until([&] { return seen == 4 * each; }, "all numbers");
  system.pending_outside(-1);
  for (std::thread& sender : senders) sender.join();
}

TEST_CASE("phases run in order, each chunk once, for works in flight together", "[core][stress]") {
  const unsigned threads = GENERATE(1u, 2u, 4u);
  System system({.threads = threads});
  for (int round = 0; round < 100; ++round) {
    std::vector<Ref<Kernel>> kernels;
    for (int k = 0; k < 4; ++k) {
      kernels.push_back(Ref<Kernel>::adopt(new Kernel(system, {3, 0, 8, 1})));
      system.submit(kernels.back());
    }
    system.wait_until(
        [&] {
          for (const auto& kernel : kernels)
            if (!kernel->complete()) return false;
          return true;
        },
        "kernels");
    for (const auto& kernel : kernels) {
      CHECK(kernel->ran == 12);
      CHECK(kernel->wrong == 0);
      CHECK(kernel->over);
    }
  }
}

TEST_CASE("a work without chunks is complete at once", "[core]") {
  System system({.threads = 2});
  auto kernel = Ref<Kernel>::adopt(new Kernel(system, {0, 0}));
  system.submit(kernel);
  CHECK(kernel->complete());
}

TEST_CASE("an actor may launch kernels and is told of their end", "[core][stress]") {
  const unsigned threads = GENERATE(1u, 2u, 4u);
  std::atomic<int> completed{0};
  System system({.threads = threads});
  std::vector<Address<Token, Completed>> launchers;
  for (int i = 0; i < 20; ++i) launchers.push_back(system.spawn<Launcher>(completed));
  for (const auto& launcher : launchers) launcher.send(Token{1});
  system.wait_until([&] { return completed == 20; }, "all kernels");
}

TEST_CASE("waiting inside a turn is an error that says what to do", "[core]") {
  const unsigned threads = GENERATE(1u, 2u);
  std::atomic<int> refused{0};
  System system({.threads = threads});
  system.spawn<Waiter>(refused).send(Token{});
  system.wait_until([&] { return refused == 1; }, "the refusal");
}

TEST_CASE("who waits for what cannot come is told", "[core]") {
  const unsigned threads = GENERATE(1u, 2u, 4u);
  System system({.threads = threads});
  for (int i = 0; i < 5; ++i) {
    try {
      system.wait_until([] { return false; }, "the loss of step 3");
      FAIL("it came");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::stalled);
      CHECK(error.message().find("the loss of step 3") != std::string::npos);
    }
  }
}

TEST_CASE("the report of a stall names who waits for what, while others spawn", "[core][stress]") {
  class Holding final : public Actor<Token> {
   public:
    [[nodiscard]] std::string waits_for() const { return "the third token of " + mood_; }

   private:
    friend ActorAccess;
    void on(const Token&) { mood_ += "!"; }
    std::string mood_ = "three";
  };
  System system({.threads = 2});
  auto holding = system.spawn_named<Holding>("the holder");
  auto plain = system.spawn_named<Adder>("the adder");
  // Names come, change hands and go in other threads.
  std::atomic<bool> enough{false};
  std::thread others([&] {
    while (!enough) {
      auto short_lived = system.spawn_named<Holding>("short-lived");
      short_lived.send(Token{});
      holding.send(Token{});
      // Left out at times, for nothing is a stall while there are messages.
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  });
  for (int i = 0; i < 50; ++i) {
    try {
      system.wait_until([] { return false; }, "nothing");
      FAIL("it came");
    } catch (const Error& error) {
      CHECK(error.message().find("actor the holder: ") != std::string::npos);
      CHECK(error.message().find("actor the adder: waits for a message") != std::string::npos);
    }
  }
  enough = true;
  others.join();
  try {
    system.wait_until([] { return false; }, "nothing");
  } catch (const Error& error) {
    CHECK(
        error.message().find("actor the holder: waits for the third token of three") !=
        std::string::npos);
    CHECK(error.message().find("short-lived") == std::string::npos);
  }
  std::vector<Address<Number, Question>> many;
  for (int i = 0; i < 60; ++i)
    many.push_back(system.spawn_named<Adder>("adder " + std::to_string(i)));
  try {
    system.wait_until([] { return false; }, "nothing");
  } catch (const Error& error) {
    CHECK(error.message().find("and 22 more actors with a name") != std::string::npos);
  }
}

TEST_CASE("two who wait in vain are both told", "[core]") {
  System system({.threads = 2});
  std::atomic<int> told{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      try {
        system.wait_until([] { return false; }, "nothing");
      } catch (const Error&) {
        told.fetch_add(1);
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(told == 2);
}

TEST_CASE("what is pending outside is waited for", "[core]") {
  const unsigned threads = GENERATE(1u, 2u);
  std::atomic<int> arrived{0};
  System system({.threads = threads});
  auto station = system.spawn<Station>(arrived);
  system.pending_outside(1);
  std::thread device([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    station.send(Token{0});
    system.pending_outside(-1);
  });
  system.wait_until([&] { return arrived == 1; }, "the device");
  device.join();
}

TEST_CASE("a stall is noticed when the last thing outside ends without a word", "[core]") {
  System system({.threads = 2});
  system.pending_outside(1);
  std::thread device([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    system.pending_outside(-1);
  });
  CHECK_THROWS_AS(system.wait_until([] { return false; }, "the device"), Error);
  device.join();
}

TEST_CASE("a thread with nothing to do polls, and runs what that makes ready", "[core]") {
  std::atomic<int> arrived{0};
  Outside outside;
  System system({.threads = 1});
  auto station = system.spawn<Station>(arrived);
  system.pending_outside(1);
  system.set_poller(&outside);
  outside.happen([&] { station.send(Token{0}); });
  system.wait_until([&] { return arrived == 1; }, "what comes");
  // What others make ready ends the poll.
  std::thread other([&] {
    until([&] { return outside.polled(); });
    station.send(Token{0});
  });
  system.wait_until([&] { return arrived == 2; }, "the other");
  other.join();
  // So does a condition that somebody tells of.
  std::atomic<bool> told{false};
  std::thread teller([&] {
    until([&] { return outside.polled(); });
    told = true;
    system.notify_waiters();
  });
  system.wait_until([&] { return told.load(); }, "the teller");
  teller.join();
  system.set_poller(nullptr);
  CHECK(outside.pollers == std::set{std::this_thread::get_id()});
}

// Goal: a poller that is taken away is left by whoever polls, and who slept there goes on sleeping.
TEST_CASE("nobody polls any more once the poller was taken away", "[core][stress]") {
  const unsigned threads = GENERATE(1u, 3u);
  std::atomic<int> arrived{0};
  std::atomic<bool> over{false};
  System system({.threads = threads});
  auto station = system.spawn<Station>(arrived);
  system.pending_outside(1);
  std::thread taker([&] {
    for (int round = 0; round < 50; ++round) {
      Outside outside;
      system.set_poller(&outside);
      station.send(Token{0});  // whoever sleeps elsewhere comes by
      until([&] { return outside.polled(); });
      outside.happen([&] { station.send(Token{0}); });
      system.set_poller(nullptr);
      CHECK_FALSE(outside.polled());
      CHECK_FALSE(outside.overlapped);
    }
    over = true;
    system.notify_waiters();
  });
  system.wait_until([&] { return over.load(); }, "the end");
  taker.join();
}

TEST_CASE("what comes may wait for something else", "[core]") {
  const unsigned threads = GENERATE(1u, 2u);
  std::atomic<int> arrived{0};
  Outside outside;
  System system({.threads = threads});
  auto station = system.spawn<Station>(arrived);
  system.pending_outside(1);
  system.set_poller(&outside);
  std::atomic<bool> inside{false};
  outside.happen([&] {
    inside = true;
    system.wait_until([&] { return arrived == 1; }, "the other");
    station.send(Token{0});
  });
  std::thread other([&] {
    until([&] { return inside.load(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    station.send(Token{0});
  });
  system.wait_until([&] { return arrived == 2; }, "both");
  other.join();
  system.set_poller(nullptr);
  CHECK_FALSE(outside.overlapped);
}

TEST_CASE("what a caller leaves in its queue is run by others", "[core]") {
  std::atomic<int> arrived{0};
  System system({.threads = 2});
  auto station = system.spawn<Station>(arrived);
  for (int round = 0; round < 20; ++round) {
    {
      Scheduler::CallerGuard guard(system);
      station.send(Token{0});
    }
    // This thread does nothing for the system any more.
    for (int i = 0; i < 2'000 && arrived != round + 1; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    REQUIRE(arrived == round + 1);
  }
}

TEST_CASE("heavy actors are spread over sleeping workers", "[core]") {
  std::atomic<int> arrived{0};
  System system({.threads = 4});
  std::vector<Address<Token>> heavy;
  for (int i = 0; i < 4; ++i) heavy.push_back(system.spawn<Heavy>(arrived));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the workers fall asleep
  const auto begin = std::chrono::steady_clock::now();
  Scheduler::CallerGuard guard(system);
  for (const auto& actor : heavy) actor.send(Token{});
  system.wait_until([&] { return arrived == 4; }, "all four");
  // They sleep, so even two cores run four at once; one after another takes 120 ms.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::milliseconds(110));
}

TEST_CASE("threads can be added and taken away at any time", "[core][stress]") {
  std::atomic<int> arrived{0};
  System system({.threads = 2});
  const auto stations = Station::ring(system, 10, arrived);
  std::atomic<bool> stop_resizing{false};
  std::thread resizer([&] {
    for (unsigned n = 0; !stop_resizing; ++n) system.resize(1 + n % 4);
  });
  for (int round = 0; round < 20; ++round) {
    arrived = 0;
    for (int i = 0; i < 4; ++i) stations[i].send(Token{1'000});
    system.pending_outside(1);
    system.wait_until([&] { return arrived == 4; }, "all tokens");
    system.pending_outside(-1);
  }
  stop_resizing = true;
  resizer.join();
  for (const auto& station : stations) stop(station);
}

TEST_CASE("a host may lend its own threads, or none", "[core]") {
  SECTION("none: everything runs in the caller") {
    const auto executor = make_caller_executor();
    std::atomic<int> arrived{0};
    System system({.threads = 8, .executor = executor.get()});
    CHECK(system.threads() == 1);
    system.spawn<Station>(arrived).send(Token{0});
    CHECK(arrived == 0);
    system.run_ready();
    CHECK(arrived == 1);
  }
  SECTION("its own") {
    class Host final : public Executor {
     public:
      unsigned threads_max() const noexcept override { return 2; }
      void run(std::function<void()> loop) override { threads.emplace_back(std::move(loop)); }
      std::vector<std::thread> threads;
    } host;
    std::atomic<int> arrived{0};
    {
      System system({.threads = 8, .executor = &host});
      CHECK(system.threads() == 3);
      system.spawn<Station>(arrived).send(Token{0});
      system.wait_until([&] { return arrived == 1; }, "the token");
    }
    CHECK(host.threads.size() == 2);
    for (std::thread& thread : host.threads) thread.join();
  }
}

TEST_CASE("a system does with the threads it can get, and says so", "[core]") {
  class Poor final : public Executor {
   public:
    ~Poor() override {
      for (std::thread& thread : threads) thread.join();
    }
    unsigned threads_max() const noexcept override { return 8; }
    void run(std::function<void()> loop) override {
      if (threads.size() == limit) throw std::runtime_error("too many threads");
      threads.emplace_back(std::move(loop));
    }
    std::size_t limit = 1;
    std::vector<std::thread> threads;
  } executor;
  std::atomic<int> arrived{0};
  std::string logged;
  System system(
      {.threads = 4,
       .log = [&](LogLevel, std::string_view line) { logged += line; },
       .executor = &executor});
  CHECK(system.threads() == 2);
  CHECK(logged.find("2 instead of 4") != std::string::npos);
  CHECK(logged.find("too many threads") != std::string::npos);
  const auto stations = Station::ring(system, 10, arrived);
  stations[0].send(Token{1'000});
  system.wait_until([&] { return arrived == 1; }, "the token");
  // Nobody counts on a thread that was never made.
  CHECK_THROWS_AS(system.wait_until([] { return false; }, "nothing"), Error);
  executor.limit = 8;
  system.resize(4);
  CHECK(system.threads() == 4);
  system.resize(1);
  CHECK(system.threads() == 1);
  for (const auto& station : stations) stop(station);
}

TEST_CASE("who waits for an actor's end is told when it ends outside a turn", "[core]") {
  System system({.threads = 2});
  auto adder = system.spawn<Adder>();
  system.pending_outside(1);
  std::atomic<bool> over{false};
  bool late = false;
  std::thread outside([&, adder = std::exchange(adder, {})]() mutable {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    adder = {};
    for (int i = 0; i < 3'000 && !over; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    late = !over;
    system.pending_outside(-1);  // or the test would never end
  });
  system.wait_until([&] { return system.actors_alive() == 0; }, "the end of the actor");
  over = true;
  outside.join();
  CHECK_FALSE(late);
}

TEST_CASE("a condition that throws leaves nobody counted as asleep or looking", "[core]") {
  const unsigned threads = GENERATE(1u, 2u);
  std::atomic<int> arrived{0};
  System system({.threads = threads});
  // Wherever it throws, while it spins or as it falls asleep, the next one is told of the stall:
  // nobody waits for a thread that looks or sleeps no more.
  int interrupted = 0;
  int stalled = 0;
  std::atomic<bool> over{false};
  std::atomic<bool> late{false};
  std::thread watchdog([&] {
    for (int i = 0; i < 20'000 && !over; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    late = !over;
    system.notify_waiters();
  });
  for (int i = 0; i < 1'000 && !late; ++i) {
    // Threads that looked in vain look for less the next time: 16 or 32 times in the end.
    int left = i < 20 ? 10'000 : i % 40;
    const auto done = [&] {
      if (left-- == 0) throw Error(ErrorCode::stopped, "interrupted");
      return late.load();
    };
    try {
      system.wait_until(done, "the interrupt");
    } catch (const Error& error) {
      ++(error.code() == ErrorCode::stopped ? interrupted : stalled);
    }
  }
  over = true;
  watchdog.join();
  CHECK_FALSE(late);
  CHECK(interrupted > 5);
  CHECK(stalled > 5);
  auto station = system.spawn<Station>(arrived);
  station.send(Token{0});
  system.wait_until([&] { return arrived == 1; }, "the token");
}

TEST_CASE("two systems in one thread do not mix", "[core]") {
  std::atomic<int> arrived_a{0};
  std::atomic<int> arrived_b{0};
  System a({.threads = 1});
  System b({.threads = 2});
  Scheduler::CallerGuard in_a(a);
  Scheduler::CallerGuard in_b(b);
  auto station_a = a.spawn<Station>(arrived_a);
  auto station_b = b.spawn<Station>(arrived_b);
  station_a.send(Token{0});
  station_b.send(Token{0});
  a.run_ready();
  CHECK(arrived_a == 1);
  b.wait_until([&] { return arrived_b == 1; }, "b");
}

TEST_CASE("an actor with endless messages does not keep others waiting", "[core]") {
  class Endless final : public Actor<Token> {
   public:
    explicit Endless(std::atomic<bool>& enough) : enough_(enough) {}

   private:
    friend ActorAccess;
    void on(const Token& token) {
      if (!enough_) self().send(token);
    }
    std::atomic<bool>& enough_;
  };
  std::atomic<bool> enough{false};
  std::atomic<int> arrived{0};
  System system({.threads = 1});
  Scheduler::CallerGuard guard(system);
  system.spawn<Endless>(enough).send(Token{});
  auto station = system.spawn<Station>(arrived);
  station.send(Token{0});
  system.wait_until([&] { return arrived == 1; }, "the other actor");
  enough = true;
}

TEST_CASE(
    "a long chain of actors that only the one before knows ends without recursion", "[core]") {
  class Knows final : public Actor<Token> {
   public:
    explicit Knows(Address<Token> next) : next_(std::move(next)) {}

   private:
    friend ActorAccess;
    void on(const Token&) {}
    Address<Token> next_;
  };
  System system({.threads = 1});
  {
    Scheduler::CallerGuard guard(system);
    Address<Token> first;
    for (int i = 0; i < 200'000; ++i) first = system.spawn<Knows>(std::move(first));
    CHECK(system.actors_alive() == 200'000);
  }
  CHECK(system.actors_alive() == 0);
  CHECK(system.blocks_in_use() == 0);
}

TEST_CASE("messages and chunks count as progress, and what runs as busy", "[core]") {
  System system({.threads = 1});
  std::atomic<int> arrived{0};
  const auto stations = Station::ring(system, 3, arrived);
  CHECK(system.progress() == Progress{});
  stations[0].send(Token{99});
  // It waits for this thread, which has things of its own to do.
  CHECK(system.progress() == Progress{});
  system.wait_until([&] { return arrived == 1; }, "a token");
  CHECK(system.progress() == Progress{100, false});

  std::atomic<int> completed{0};
  system.spawn<Launcher>(completed).send(Token{1});
  system.wait_until([&] { return completed == 1; }, "a kernel");
  const Progress then = system.progress();
  CHECK(then.done >= 100 + 13 + 2);
  // That nobody reaches the launcher any more is a message, too, and may come early.
  CHECK(then.done <= 100 + 13 + 2 + 5);
  CHECK_FALSE(then.busy);

  std::atomic<bool> looked{false};
  std::atomic<bool> may_end{true};
  system.spawn<Looker>(looked, may_end).send(Token{0});
  system.wait_until([&] { return looked.load(); }, "a look");
}

TEST_CASE("a turn that does not end is busy without progress", "[core]") {
  System system({.threads = 2});
  std::atomic<bool> looked{false};
  std::atomic<bool> may_end{false};
  const auto looker = system.spawn<Looker>(looked, may_end);
  looker.send(Token{0});
  looker.send(Token{0});
  while (!looked) std::this_thread::yield();
  const Progress before = system.progress();
  CHECK(before.busy);
  // Others who look for something to do, and find nothing, have done nothing.
  system.wait_until([n = 0]() mutable { return n++ > 10; }, "a look");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(system.progress() == before);
  may_end = true;
  while (system.progress().busy) std::this_thread::yield();
  CHECK(system.progress().done > before.done);
}

}  // namespace troupe::testing
