#include "messages.hpp"

#include <troupe/core/sim.hpp>
#include <troupe/core/stream.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_adapters.hpp>
#include <catch2/generators/catch_generators_random.hpp>

namespace troupe::testing {
namespace {

/// A value that counts for as many bytes as it says.
struct Batch {
  static constexpr MessageId id{70'100};
  static constexpr std::string_view name = "batch";

  std::uint64_t number = 0;
  std::uint64_t size = 1;
  [[nodiscard]] std::uint64_t bytes() const noexcept { return size; }

  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
    visit.field("size", size);
  }
};

/// What a test sees of both ends, beside what they know themselves.
struct Watch {
  std::uint64_t messages = 0;  // under way now
  std::uint64_t bytes = 0;
  std::uint64_t messages_max = 0;
  std::uint64_t bytes_max = 0;
  std::uint64_t together_bytes_max = 0;  // of one that was under way with another
  std::vector<std::uint64_t> taken;
  bool finished = false;
  bool failed = false;
  bool cancelled = false;
};

class Producer final : public Actor<StreamCredit> {
 public:
  Producer(
      Address<StreamItem<Batch>> to,
      std::uint64_t count,
      std::uint64_t size_max,
      Watch& watch,
      bool fails = false)
      : out_(std::move(to), self()),
        count_(count),
        size_max_(size_max),
        watch_(watch),
        fails_(fails) {}

 private:
  friend ActorAccess;
  void on(const StreamCredit& credit) {
    out_.on(credit);
    watch_.cancelled = out_.cancelled();
    if (pending_ != 0 && out_.waiting() == 0) count_one(std::exchange(pending_, 0));
    while (out_.ready_for_more() && next_ < count_) {
      const std::uint64_t size = 1 + (next_ * 7) % size_max_;
      out_.offer(Batch{next_++, size});
      if (out_.waiting() == 0)
        count_one(size);
      else
        pending_ = size;
    }
    if (next_ == count_ && !out_.closed()) {
      if (fails_)
        out_.fail(Error(ErrorCode::file_io, "the disk is gone"));
      else
        out_.end();
    }
  }
  void count_one(std::uint64_t size) {
    if (watch_.messages > 0) {
      watch_.together_bytes_max = std::max({watch_.together_bytes_max, size, watch_.bytes});
    }
    watch_.messages_max = std::max(watch_.messages_max, ++watch_.messages);
    watch_.bytes_max = std::max(watch_.bytes_max, watch_.bytes += size);
  }

  StreamSource<Batch> out_;
  std::uint64_t next_ = 0;
  std::uint64_t count_;
  std::uint64_t size_max_;
  std::uint64_t pending_ = 0;
  Watch& watch_;
  bool fails_;
};

class Consumer final : public Actor<StreamItem<Batch>, Token> {
 public:
  Consumer(StreamWindow window, Watch& watch, std::uint64_t cancel_after = ~0ull)
      : in_(window), watch_(watch), cancel_after_(cancel_after) {}

 private:
  friend ActorAccess;
  void on(StreamItem<Batch>&& item) {
    in_.on(std::move(item));
    self().send(Token{});  // takes later, so that values pile up when the schedule is unkind
    look();
  }
  void on(const Token&) {
    if (std::optional<Batch> batch = in_.take()) {
      watch_.taken.push_back(batch->number);
      --watch_.messages;
      watch_.bytes -= batch->size;
      if (watch_.taken.size() == cancel_after_) in_.cancel();
    }
    look();
  }
  void look() {
    watch_.finished = in_.finished();
    watch_.failed = in_.error() != nullptr;
  }

  StreamSink<Batch> in_;
  Watch& watch_;
  std::uint64_t cancel_after_;
};

}  // namespace

// Goal: what is under way never exceeds the window, and everything comes once and in order.
// Method: the simulated scheduler picks who runs next from the seed; same seed, same run.
TEST_CASE("credit bounds a stream in messages and bytes", "[core][simulation]") {
  const auto seed = GENERATE(take(200, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  sim::World world{seed};
  Watch watch;
  const StreamWindow window{.messages = 1 + seed % 6, .bytes = 8 + seed % 30};
  auto consumer = world.system().spawn<Consumer>(window, watch);
  auto producer = world.system().spawn<Producer>(consumer, 200, 8, watch);

  world.run_until_idle();

  CHECK(watch.messages_max <= window.messages);
  CHECK(watch.bytes_max <= window.bytes);
  CHECK(watch.finished);
  CHECK_FALSE(watch.failed);
  REQUIRE(watch.taken.size() == 200);
  for (std::uint64_t i = 0; i < 200; ++i) REQUIRE(watch.taken[i] == i);
}

TEST_CASE("a value larger than the window of bytes goes alone", "[core][simulation]") {
  const auto seed = GENERATE(take(20, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  sim::World world{seed};
  Watch watch;
  auto consumer = world.system().spawn<Consumer>(StreamWindow{.messages = 4, .bytes = 3}, watch);
  auto producer = world.system().spawn<Producer>(consumer, 50, 40, watch);

  world.run_until_idle();

  CHECK(watch.taken.size() == 50);
  CHECK(watch.finished);
  CHECK(watch.bytes_max == 40);
  // Whatever is larger than the window had it to itself.
  CHECK(watch.together_bytes_max <= 3);
}

TEST_CASE("a source that stops before credit came fails its stream", "[core][simulation]") {
  const auto seed = GENERATE(take(50, random<std::uint64_t>(0, ~0ull)));
  const bool given_reason = GENERATE(false, true);
  CAPTURE(seed, given_reason);
  sim::World world{seed};
  /// Offers and ends at once, without waiting for credit.
  class Hasty final : public Actor<StreamCredit> {
   public:
    Hasty(Address<StreamItem<Batch>> to, bool given_reason) : out_(std::move(to), self()) {
      for (std::uint64_t i = 0; i < 3; ++i) out_.offer(Batch{i});
      given_reason ? out_.fail(Error(ErrorCode::disk_full, "no room")) : out_.end();
      CHECK_FALSE(out_.delivered());
      stop();
    }

   private:
    friend ActorAccess;
    void on(const StreamCredit& credit) { out_.on(credit); }
    StreamSource<Batch> out_;
  };
  StreamReader<Batch> batches(world.system());
  (void)world.system().spawn<Hasty>(batches.address(), given_reason);
  try {
    while (batches.next()) {
    }
    FAIL("the stream ended well");
  } catch (const Error& error) {
    CHECK(error.code() == (given_reason ? ErrorCode::disk_full : ErrorCode::stopped));
  }
}

TEST_CASE("a source or sink that is assigned to ends the stream it had", "[core]") {
  sim::World world{4};
  System& system = world.system();
  class Holder final : public Actor<StreamCredit> {
   public:
    explicit Holder(Address<StreamItem<Batch>> first, Address<StreamItem<Batch>> second)
        : out_(std::move(first), self(), 1) {
      out_ = StreamSource<Batch>(std::move(second), self(), 2);
      out_.end();
    }

   private:
    friend ActorAccess;
    void on(const StreamCredit& credit) { out_.on(credit); }
    StreamSource<Batch> out_;
  };
  Watch first;
  Watch second;
  auto one = system.spawn<Consumer>(StreamWindow{}, first);
  auto other = system.spawn<Consumer>(StreamWindow{}, second);
  auto holder = system.spawn<Holder>(one, other);
  world.run_until_idle();
  CHECK(first.finished);
  CHECK(first.failed);
  CHECK(second.finished);
  CHECK_FALSE(second.failed);

  class Fickle final : public Actor<StreamItem<Batch>> {
   private:
    friend ActorAccess;
    void on(StreamItem<Batch>&& item) {
      if (item.kind == StreamItemKind::value) in_ = StreamSink<Batch>();
      in_.on(std::move(item));
    }
    StreamSink<Batch> in_;
  };
  Watch watch;
  auto fickle = system.spawn<Fickle>();
  auto producer = system.spawn<Producer>(fickle, 100, 1, watch);
  world.run_until_idle();
  CHECK(watch.cancelled);
}

TEST_CASE("a stream's failure comes after its values", "[core][simulation]") {
  const auto seed = GENERATE(take(50, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  sim::World world{seed};
  Watch watch;
  auto consumer = world.system().spawn<Consumer>(StreamWindow{.messages = 3}, watch);
  auto producer = world.system().spawn<Producer>(consumer, 20, 1, watch, true);

  world.run_until_idle();

  CHECK(watch.taken.size() == 20);
  CHECK(watch.finished);
  CHECK(watch.failed);
}

TEST_CASE(
    "a consumer that cancels gets nothing more and its source learns it", "[core][simulation]") {
  const auto seed = GENERATE(take(50, random<std::uint64_t>(0, ~0ull)));
  CAPTURE(seed);
  sim::World world{seed};
  Watch watch;
  auto consumer = world.system().spawn<Consumer>(StreamWindow{.messages = 3}, watch, 5);
  auto producer = world.system().spawn<Producer>(consumer, 1'000'000, 1, watch);

  world.run_until_idle();

  CHECK(watch.taken.size() == 5);
  CHECK(watch.cancelled);
}

TEST_CASE("a reader outside the actors gets a stream to its end", "[core]") {
  const unsigned threads = GENERATE(1u, 2u, 4u);
  System system({.threads = threads});
  Watch watch;
  {
    StreamReader<Batch> batches(system, {.messages = 4});
    auto producer = system.spawn<Producer>(batches.address(), 1'000, 1, watch);
    std::uint64_t next = 0;
    while (std::optional<Batch> batch = batches.next()) REQUIRE(batch->number == next++);
    CHECK(next == 1'000);
    CHECK_FALSE(batches.next());  // and again
  }
  system.wait_until([&] { return system.actors_alive() == 0; }, "the end of all actors");
}

TEST_CASE("a reader gets the error of a stream after its values", "[core]") {
  System system({.threads = 1});
  Watch watch;
  StreamReader<Batch> batches(system, {.messages = 4});
  auto producer = system.spawn<Producer>(batches.address(), 3, 1, watch, true);
  for (int i = 0; i < 3; ++i) CHECK(batches.next());
  CHECK_THROWS_AS(batches.next(), Error);
}

TEST_CASE("a reader learns that its source is gone", "[core]") {
  System system({.threads = 1});
  StreamReader<Batch> batches(system);
  { auto address = batches.address(); }
  CHECK_THROWS_AS(batches.next(), Error);
}

TEST_CASE("a reader that cancelled gets nothing, whatever came before or after", "[core]") {
  const unsigned threads = GENERATE(1u, 3u);
  const int when = GENERATE(0, 1, 2, 3);
  System system({.threads = threads});
  Watch watch;
  {
    StreamReader<Batch> batches(system, {.messages = 2});
    auto address = batches.address();
    if (when == 0) batches.cancel();
    auto producer =
        system.spawn<Producer>(std::move(address), when == 3 ? 1 : 1'000, 1, watch, true);
    if (when == 1) CHECK(batches.next());
    if (when == 3) {
      // Values and the failure are there already.
      CHECK(batches.next());
      system.wait_until([&] { return batches.ready(); }, "the failure");
    }
    batches.cancel();
    for (int i = 0; i < 10; ++i) {
      CHECK_FALSE(batches.next());
      CHECK(batches.ready());
      system.run_ready();
    }
  }
  system.wait_until([&] { return system.actors_alive() == 0; }, "the end of all actors");
}

TEST_CASE("a reader that is assigned to cancels the stream it had", "[core]") {
  System system({.threads = 1});
  Watch watch;
  StreamReader<Batch> batches(system, {.messages = 2});
  auto producer = system.spawn<Producer>(batches.address(), 1'000, 1, watch);
  CHECK(batches.next());
  batches = StreamReader<Batch>(system);
  system.run_ready();
  CHECK(watch.cancelled);
}

TEST_CASE("who waits in vain for a stream is told whose it is", "[core]") {
  System system({.threads = 1});
  class Silent final : public Actor<StreamCredit> {
   public:
    explicit Silent(Address<StreamItem<Batch>> to) : out_(std::move(to), self()) {}
    [[nodiscard]] std::string waits_for() const { return out_.waits_for(); }

   private:
    friend ActorAccess;
    void on(const StreamCredit& credit) { out_.on(credit); }
    StreamSource<Batch> out_;
  };
  StreamReader<Batch> batches(system);
  auto silent = system.spawn_named<Silent>("the silent one", batches.address());
  system.run_ready();
  try {
    (void)batches.next();
    FAIL("it came");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::stalled);
    CHECK(
        error.message().find("the next batch on the stream of the silent one") !=
        std::string::npos);
    CHECK(
        error.message().find(
            "actor the silent one: waits for what it makes each batch of its stream from") !=
        std::string::npos);
  }
}

TEST_CASE("a writer ends with its consumer, whenever that stops or cancels", "[core]") {
  const unsigned threads = GENERATE(1u, 3u);
  const int when = GENERATE(0, 1, 2);
  System system({.threads = threads});
  Watch watch;
  watch.messages = watch.bytes = 1'000;
  {
    // 0: gone before it hears of the stream; 1: stopped in its midst; 2: cancels after five.
    auto consumer = system.spawn<Consumer>(
        StreamWindow{.messages = 2}, watch, when == 2 ? 5 : ~std::uint64_t{0});
    if (when == 0) stop(consumer);
    StreamWriter<Batch> out(system, consumer);
    int written = 0;
    while (written < 10'000 && out.write(Batch{static_cast<std::uint64_t>(written), 1}))
      if (++written == 20 && when == 1) stop(consumer);
    CHECK(written < 10'000);
    CHECK_FALSE(out.write(Batch{}));
    stop(consumer);
  }
  system.wait_until([&] { return system.actors_alive() == 0; }, "the end of all");
}

TEST_CASE("a writer keeps to the window of bytes", "[core]") {
  sim::World world{GENERATE(take(20, random<std::uint64_t>(0, ~0ull)))};
  System& system = world.system();
  /// Counts what is under way: what came and was not yet taken.
  class Narrow final : public Actor<StreamItem<Batch>, Token> {
   public:
    explicit Narrow(Watch& watch) : in_({.messages = 100, .bytes = 10}), watch_(watch) {}

   private:
    friend ActorAccess;
    void on(StreamItem<Batch>&& item) {
      if (item.value)
        watch_.bytes_max = std::max(watch_.bytes_max, watch_.bytes += item.value->size);
      in_.on(std::move(item));
      self().send(Token{});
      watch_.finished = in_.finished();
    }
    void on(const Token&) {
      if (const auto batch = in_.take()) {
        watch_.taken.push_back(batch->number);
        watch_.bytes -= batch->size;
      }
      watch_.finished = in_.finished();
    }
    StreamSink<Batch> in_;
    Watch& watch_;
  };
  Watch watch;
  auto narrow = system.spawn<Narrow>(watch);
  StreamWriter<Batch> out(system, narrow);
  for (std::uint64_t i = 0; i < 100; ++i) REQUIRE(out.write(Batch{i, 1 + i % 7}));
  CHECK(watch.bytes_max <= 10);
  CHECK(watch.bytes_max > 5);
  REQUIRE(out.write(Batch{100, 50}));  // larger than the window: alone
  REQUIRE(out.write(Batch{101, 1}));
  out.end();
  world.run_until_idle();
  CHECK(watch.bytes_max == 50);
  CHECK(watch.taken.size() == 102);
  CHECK(watch.finished);
}

TEST_CASE("a write after the end is an error at once", "[core]") {
  System system({.threads = 1});
  Watch watch;
  watch.messages = watch.bytes = 10;
  auto consumer = system.spawn<Consumer>(StreamWindow{.messages = 2}, watch);
  StreamWriter<Batch> out(system, consumer);
  CHECK(out.write(Batch{0}));
  out.end();
  try {
    out.write(Batch{1});
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(error.hint().find("before end()") != std::string::npos);
  }
  out.end();  // twice is as good as once
}

TEST_CASE("a writer outside the actors waits for credit", "[core]") {
  const unsigned threads = GENERATE(1u, 3u);
  System system({.threads = threads});
  Watch watch;
  watch.messages = 1'000;  // the consumer counts down what this test does not count up
  watch.bytes = 1'000;
  auto consumer = system.spawn<Consumer>(StreamWindow{.messages = 2}, watch);
  {
    StreamWriter<Batch> out(system, consumer);
    for (std::uint64_t i = 0; i < 1'000; ++i) REQUIRE(out.write(Batch{i, 1}));
    out.end();
  }
  system.wait_until([&] { return system.actors_alive() == 1; }, "the writer's end");
  stop(consumer);
  system.wait_until([&] { return system.actors_alive() == 0; }, "the consumer's end");
  CHECK(watch.taken.size() == 1'000);
  CHECK(watch.finished);
}

}  // namespace troupe::testing
