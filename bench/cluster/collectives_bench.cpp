// What collectives cost between ranks of one process, without a network. Run with
// --benchmark_repetitions to see medians.

#include <troupe/cluster/mesh_collectives.hpp>
#include <troupe/core/scheduler.hpp>
#include <troupe/core/system.hpp>

#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace troupe {
namespace {

using namespace cluster;

class Sink final : public Actor<CollectiveDone> {
 public:
  explicit Sink(std::atomic<std::uint32_t>& ended) : ended_(ended) {}

 private:
  friend ActorAccess;
  void on(CollectiveDone&& done) {
    if (done.failed) std::abort();
    ended_.fetch_add(1, std::memory_order_relaxed);
  }
  std::atomic<std::uint32_t>& ended_;
};

Bytes ones(std::size_t bytes) {
  auto values = std::make_shared<std::vector<float>>(bytes / 4, 1.0F);
  return {std::as_bytes(std::span(*values)), values};
}

/// One all_reduce after another; the time is one's, on all ranks together. The first number is that
/// of ranks, the second of KiB.
void all_reduce(benchmark::State& state, std::uint64_t latency_bytes) {
  const auto ranks = static_cast<std::uint32_t>(state.range(0));
  const std::size_t bytes = static_cast<std::size_t>(state.range(1)) << 10;
  MeshOptions options;
  options.latency_bytes = latency_bytes;
  std::atomic<std::uint32_t> ended{0};
  System system({.threads = 2});
  Scheduler::CallerGuard guard(system);
  const auto sink = system.spawn<Sink>(ended);
  std::vector<std::unique_ptr<MeshCollectives>> members;
  Group group;
  std::vector<Bytes> inputs;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    members.push_back(std::make_unique<MeshCollectives>(system, options));
    group.members.push_back({std::to_string(rank), members.back()->address()});
    inputs.push_back(ones(bytes));
  }
  for (group.rank = 0; group.rank < ranks; ++group.rank) members[group.rank]->enter(group);
  std::uint64_t step = 0;
  for (auto _ : state) {
    ended = 0;
    ++step;
    for (std::uint32_t rank = 0; rank < ranks; ++rank)
      members[rank]->all_reduce({step, 0}, inputs[rank], {}, sink);
    system.wait_until(
        [&] { return ended.load(std::memory_order_relaxed) == ranks; }, "an all_reduce");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(bytes) * state.iterations());
}
BENCHMARK_CAPTURE(all_reduce, by_default, MeshOptions().latency_bytes)
    ->ArgsProduct({{2, 4}, {1, 1 << 10, 64 << 10}})
    ->UseRealTime();
// Where one gives way to the other: see `MeshOptions::latency_bytes`.
BENCHMARK_CAPTURE(all_reduce, everything_to_everybody, ~std::uint64_t{0})
    ->ArgsProduct({{4}, {16, 64, 256, 64 << 10}})
    ->UseRealTime();
BENCHMARK_CAPTURE(all_reduce, in_parts, 0)
    ->ArgsProduct({{4}, {16, 64, 256, 64 << 10}})
    ->UseRealTime();

}  // namespace
}  // namespace troupe
