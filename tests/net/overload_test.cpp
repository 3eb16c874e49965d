#include "cluster.hpp"
#include "support/proof.hpp"

#include <troupe/core/stream.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace troupe::testing {
namespace {

/// What a stream carries: as many bytes as it says.
struct Load {
  static constexpr MessageId id{70'020};
  static constexpr std::string_view name = "load";
  std::uint64_t number = 0;
  Bytes content;
  [[nodiscard]] std::uint64_t bytes() const noexcept { return content.size(); }
  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
    visit.field("content", content);
  }
};
using LoadItem = StreamItem<Load>;
const MessageType* find_load(MessageId id) noexcept {
  return id == MessageId(LoadItem::id) ? &message_type<LoadItem> : nullptr;
}

/// What the bytes that live at a time come to.
struct Held {
  std::atomic<std::uint64_t> now{0};
  std::atomic<std::uint64_t> most{0};
  Bytes make(std::size_t size, std::uint64_t number) {
    const std::uint64_t held = now += size;
    std::uint64_t before = most;
    while (before < held && !most.compare_exchange_weak(before, held)) {
    }
    auto* const made = new std::vector<std::byte>(size, static_cast<std::byte>(number));
    return {*made, std::shared_ptr<const void>(made, [this, size](auto* gone) {
              now -= size;
              delete gone;
            })};
  }
};

/// Offers all it has as fast as there is credit.
class Producer final : public Actor<StreamCredit> {
 public:
  static constexpr std::string_view name = "producer";
  Producer(Address<LoadItem> to, Held& held, std::uint64_t count, std::size_t size)
      : held_(held), count_(count), size_(size), out_(std::move(to), self()) {}

 private:
  friend ActorAccess;
  void on(const StreamCredit& credit) {
    out_.on(credit);
    while (next_ < count_ && out_.ready_for_more()) {
      out_.offer(Load{next_, held_.make(size_, next_)});
      ++next_;
    }
    if (next_ == count_) out_.end();
  }
  Held& held_;
  std::uint64_t count_;
  std::size_t size_;
  std::uint64_t next_ = 0;
  StreamSource<Load> out_;
};

struct Received {
  std::atomic<std::uint64_t> next{0};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<std::uint64_t> waiting_most{0};
  std::atomic<bool> finished{false};
  std::atomic<bool> failed{false};
};

/// Takes one after the other, each after a while.
class Consumer final : public Actor<LoadItem> {
 public:
  static constexpr std::string_view name = "consumer";
  Consumer(Received& received, StreamWindow window, std::chrono::microseconds each)
      : received_(received), each_(each), in_(window) {}

 private:
  friend ActorAccess;
  void on(LoadItem&& item) {
    in_.on(std::move(item));
    received_.waiting_most = std::max<std::uint64_t>(received_.waiting_most, in_.waiting());
    while (const auto load = in_.take()) {
      std::this_thread::sleep_for(each_);
      const auto bytes = load->content.span();
      const auto right = static_cast<std::byte>(load->number);
      if (load->number != received_.next || bytes.empty() || bytes.front() != right ||
          bytes.back() != right)
        ++received_.wrong;
      ++received_.next;
    }
    if (!in_.finished()) return;
    received_.failed = in_.error() != nullptr;
    received_.finished = true;
  }
  Received& received_;
  std::chrono::microseconds each_;
  StreamSink<Load> in_;
};

}  // namespace

// Goal: promise 6: however much faster a producer is than its consumer in another process, nothing
// is dropped, and what is held does not grow beyond the stream's window.
// Method: 10 GB offered, or a share of it, at once; the consumer sleeps for each piece. The bytes
// that live at the producer's end are counted one by one, those at the other by what waits.
TEST_CASE("a stream to another process bounds what is under way", "[net][proof]") {
  Pair pair(GENERATE(false, true), [](net::NetworkOptions& options) {
    options.messages.push_back(&find_load);
  });
  constexpr std::size_t size = 1U << 20;
  const std::uint64_t count = share(10'000) / 2;
  constexpr std::uint64_t window = 8;
  Held held;
  Received received;
  pair.there.network->publish(
      "consumer",
      pair.there.system.spawn<Consumer>(
          received, StreamWindow{.messages = window}, std::chrono::microseconds(100)));
  {
    const auto to = pair.here.network->find("there", "consumer").get().as<LoadItem>();
    const auto producer = pair.here.system.spawn<Producer>(to, held, count, size);
    std::uint64_t waiting_most = 0;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60 + count / 20);
    while (!received.finished && std::chrono::steady_clock::now() < until) {
      const net::PeerStatus status = pair.here.network->peers().at(0);
      waiting_most = std::max(waiting_most, status.waiting_bytes);
      const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
      pair.here.system.run_ready();
      pair.here.system.wait_until([n = 0]() mutable { return n++ > 0; }, "a look");
      std::this_thread::sleep_until(soon);
    }
    CHECK(waiting_most <= window * size);
  }
  std::printf(
      "overload: %.1f GB over a stream of %llu MiB, %.1f MiB held at most\n",
      static_cast<double>(count) * size / 1e9,
      static_cast<unsigned long long>(window),
      static_cast<double>(held.most) / size);
  CHECK(received.finished);
  CHECK_FALSE(received.failed);
  CHECK(received.next == count);
  CHECK(received.wrong == 0);
  CHECK(received.waiting_most <= window);
  // The window, and what is sent but not yet acknowledged: as much again at most.
  CHECK(held.most <= 2 * window * size);
  pair.wait([&] { return held.now == 0; });
}

}  // namespace troupe::testing
