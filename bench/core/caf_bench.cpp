// The same measurements of CAF, the C++ Actor Framework, to be read beside ours.

#include <benchmark/benchmark.h>
#include <caf/all.hpp>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace {

std::atomic<int> arrived{0};

caf::actor_system_config config(std::size_t threads) {
  caf::actor_system_config config;
#if CAF_VERSION >= 1800
  config.set("caf.scheduler.max-threads", threads);
#else
  config.set("scheduler.max-threads", threads);  // the longer name is refused
#endif
  return config;
}

caf::behavior station(caf::stateful_actor<caf::actor>* self) {
  return {
      [=](const caf::actor& next) { self->state = next; },
      [=](std::int64_t left) {
        if (left == 0) {
          arrived.fetch_add(1);
          arrived.notify_all();
        } else {
          self->send(self->state, left - 1);
        }
      }};
}

void await(int count) {
  for (int seen = arrived.load(); seen != count; seen = arrived.load()) arrived.wait(seen);
}

void ring(benchmark::State& state, std::size_t threads, int tokens) {
  constexpr std::int64_t hops = 200'000;
  auto cfg = config(threads);
  caf::actor_system system{cfg};
  std::vector<caf::actor> stations;
  for (int i = 0; i < 100; ++i) stations.push_back(system.spawn(station));
  for (std::size_t i = 0; i < stations.size(); ++i)
    caf::anon_send(stations[i], stations[(i + 1) % stations.size()]);
  for (auto _ : state) {
    arrived = 0;
    for (int i = 0; i < tokens; ++i)
      caf::anon_send(
          stations
              [static_cast<std::size_t>(i) * stations.size() / static_cast<std::size_t>(tokens)],
          hops / tokens);
    await(tokens);
  }
  for (const auto& actor : stations) caf::anon_send_exit(actor, caf::exit_reason::kill);
  state.SetItemsProcessed(state.iterations() * hops);
  state.counters["ns_per_hop"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * static_cast<double>(hops) * 1e-9,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK_CAPTURE(ring, caf_one_worker_one_token, 1, 1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ring, caf_one_worker_16_tokens, 1, 16)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ring, caf_two_workers_16_tokens, 2, 16)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

caf::behavior sink(caf::stateful_actor<std::int64_t>* self, std::int64_t expected) {
  return {[=](std::int64_t) {
    if (++self->state == expected) {
      self->state = 0;
      arrived.fetch_add(1);
      arrived.notify_all();
    }
  }};
}

caf::behavior sender(caf::event_based_actor* self, const caf::actor& to) {
  return {[=](std::int64_t left) {
    for (int i = 0; i < 100; ++i) self->send(to, std::int64_t{0});
    if (left > 100) self->send(self, left - 100);
  }};
}

void four_senders_one_receiver(benchmark::State& state, std::size_t threads) {
  constexpr std::int64_t each = 20'000;
  auto cfg = config(threads);
  caf::actor_system system{cfg};
  const caf::actor to = system.spawn(sink, 4 * each);
  std::vector<caf::actor> senders;
  for (int i = 0; i < 4; ++i) senders.push_back(system.spawn(sender, to));
  for (auto _ : state) {
    arrived = 0;
    for (const auto& from : senders) caf::anon_send(from, each);
    await(1);
  }
  for (const auto& from : senders) caf::anon_send_exit(from, caf::exit_reason::kill);
  caf::anon_send_exit(to, caf::exit_reason::kill);
  state.SetItemsProcessed(state.iterations() * 4 * each);
}
BENCHMARK_CAPTURE(four_senders_one_receiver, caf_one_worker, 1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(four_senders_one_receiver, caf_two_workers, 2)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

caf::behavior one_shot(caf::event_based_actor* self) {
  return {[=](std::int64_t) {
    arrived.fetch_add(1, std::memory_order_relaxed);
    self->quit();
  }};
}

/// Spawns actors, has each handle one message and end; the time is one actor's.
void spawn_run_retire(benchmark::State& state) {
  constexpr int count = 10'000;
  auto cfg = config(1);
  caf::actor_system system{cfg};
  for (auto _ : state) {
    arrived = 0;
    for (int i = 0; i < count; ++i) caf::anon_send(system.spawn(one_shot), std::int64_t{0});
    while (arrived.load(std::memory_order_relaxed) != count) std::this_thread::yield();
  }
  state.SetItemsProcessed(state.iterations() * count);
  state.counters["ns_per_actor"] = benchmark::Counter(
      static_cast<double>(state.iterations()) * count * 1e-9,
      benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(spawn_run_retire)
    ->Name("caf_spawn_run_retire")
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
