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
