// What the runtime costs: messages, actors, kernels. Run with --benchmark_repetitions to see
// medians.

#include <troupe/core/completion.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/system.hpp>
#include <troupe/core/trace.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <vector>

namespace troupe {
namespace {

struct Hop {
  static constexpr MessageId id{70'000};
  static constexpr std::string_view name = "hop";
  std::int64_t left = 0;
  template <class V>
  void fields(V& visit) {
    visit.field("left", left);
  }
};

class Station final : public Actor<Hop> {
 public:
  explicit Station(std::atomic<int>& arrived) : arrived_(arrived) {}
  Address<Hop> next;

 private:
  friend ActorAccess;
  void on(const Hop& hop) {
    if (hop.left == 0) {
      arrived_.fetch_add(1, std::memory_order_relaxed);
    } else {
      next.send(Hop{hop.left - 1});
    }
  }
  std::atomic<int>& arrived_;
};

/// `tokens` run round a ring of 100 actors; the time is a hop's.
void ring(benchmark::State& state, unsigned threads, int tokens, bool traced) {
  constexpr std::int64_t hops = 400'000;
  std::atomic<int> arrived{0};
  System system({.threads = threads});
  Scheduler::CallerGuard guard(system);
  std::vector<Address<Hop>> stations;
  for (int i = 0; i < 100; ++i) stations.push_back(system.spawn<Station>(arrived));
  for (std::size_t i = 0; i < stations.size(); ++i)
    ActorAccess::body_if<Station>(*stations[i].cell())->next = stations[(i + 1) % stations.size()];
  if (traced) system.tracer().start();
  for (auto _ : state) {
    arrived = 0;
    for (int i = 0; i < tokens; ++i)
      stations[static_cast<std::size_t>(i) * stations.size() / static_cast<std::size_t>(tokens)]
          .send(Hop{hops / tokens});
    system.wait_until([&] { return arrived == tokens; }, "all tokens");
  }
  state.SetItemsProcessed(state.iterations() * hops);
  state.counters["ns_per_hop"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(hops) * 1e-9,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(ring, one_worker_one_token, 1, 1, false)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ring, one_worker_16_tokens, 1, 16, false)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ring, two_workers_16_tokens, 2, 16, false)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ring, one_worker_one_token_traced, 1, 1, true)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

class Sink final : public Actor<Hop> {
 public:
  explicit Sink(std::atomic<std::int64_t>& taken) : taken_(taken) {}

 private:
  friend ActorAccess;
  void on(const Hop&) {
    taken_.store(taken_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  std::atomic<std::int64_t>& taken_;
};

/// Sends a share of the messages, a hundred a turn.
class Sender final : public Actor<Hop> {
 public:
  explicit Sender(Address<Hop> to) : to_(std::move(to)) {}

 private:
  friend ActorAccess;
  void on(const Hop& hop) {
    for (int i = 0; i < 100; ++i) to_.send(Hop{});
    if (hop.left > 100) self().send(Hop{hop.left - 100});
  }
  Address<Hop> to_;
};

void four_senders_one_receiver(benchmark::State& state, unsigned threads) {
  constexpr std::int64_t each = 100'000;
  std::atomic<std::int64_t> taken{0};
  System system({.threads = threads});
  Scheduler::CallerGuard guard(system);
  auto sink = system.spawn<Sink>(taken);
  std::vector<Address<Hop>> senders;
  for (int i = 0; i < 4; ++i) senders.push_back(system.spawn<Sender>(sink));
  for (auto _ : state) {
    taken = 0;
    for (const auto& sender : senders) sender.send(Hop{each});
    system.wait_until([&] { return taken.load(std::memory_order_relaxed) == 4 * each; }, "all");
  }
  state.SetItemsProcessed(state.iterations() * 4 * each);
}
BENCHMARK_CAPTURE(four_senders_one_receiver, one_worker, 1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(four_senders_one_receiver, two_workers, 2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

/// Spawns an actor, has it handle one message, and lets it go.
void spawn_run_retire(benchmark::State& state) {
  std::atomic<int> arrived{0};
  System system({.threads = 1});
  Scheduler::CallerGuard guard(system);
  for (auto _ : state) {
    auto station = system.spawn<Station>(arrived);
    station.send(Hop{});
    system.run_ready();
  }
}
BENCHMARK(spawn_run_retire);

void spawn_and_end(benchmark::State& state) {
  std::atomic<int> arrived{0};
  System system({.threads = 1});
  Scheduler::CallerGuard guard(system);
  for (auto _ : state) benchmark::DoNotOptimize(system.spawn<Station>(arrived));
}
BENCHMARK(spawn_and_end);

void pool_allocate_free(benchmark::State& state) {
  System system({.threads = 1});
  Scheduler::CallerGuard guard(system);
  const auto bytes = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    void* block = system.allocate(bytes);
    benchmark::DoNotOptimize(block);
    system.deallocate(block, bytes);
  }
}
BENCHMARK(pool_allocate_free)->Arg(48)->Arg(256);

/// The machine's limits, to be read beside: what a hop must do at least. An allocation and a free.
void limit_malloc_free(benchmark::State& state) {
  for (auto _ : state) {
    void* block = std::malloc(48);
    benchmark::DoNotOptimize(block);
    std::free(block);
  }
}
BENCHMARK(limit_malloc_free);

/// A word handed to another core that spins for it, and back; the time is one way's.
void limit_hand_off(benchmark::State& state) {
  std::atomic<int> word{0};
  std::thread other([&] {
    for (int seen = 0; seen >= 0;) {
      seen = word.load(std::memory_order_acquire);
      if (seen == 1) word.store(0, std::memory_order_release);
    }
  });
  for (auto _ : state) {
    word.store(1, std::memory_order_release);
    while (word.load(std::memory_order_acquire) != 0) {
    }
  }
  word.store(-1, std::memory_order_release);
  other.join();
  state.counters["ns_per_hop"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * 2e-9,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(limit_hand_off)->UseRealTime();

class Nothing final : public Work {
 public:
  using Work::Work;

 private:
  void run_chunk(std::uint32_t, std::uint32_t) noexcept override {}
  void destroy() noexcept override { delete this; }
};

/// What handing a kernel of empty chunks to the workers costs, to its end.
void launch(benchmark::State& state, unsigned threads, std::uint32_t chunks) {
  System system({.threads = threads});
  Scheduler::CallerGuard guard(system);
  for (auto _ : state) {
    auto work = Ref<Nothing>::adopt(new Nothing(system));
    work->phases = 1;
    work->chunks[0] = chunks;
    system.submit(work);
    system.wait_until([&] { return work->complete(); }, "the kernel");
  }
}
BENCHMARK_CAPTURE(launch, one_thread_8_chunks, 1, 8)->UseRealTime();
BENCHMARK_CAPTURE(launch, two_threads_8_chunks, 2, 8)->UseRealTime();

}  // namespace
}  // namespace troupe
