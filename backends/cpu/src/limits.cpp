#include "cpu_device.hpp"

#include <troupe/core/clock.hpp>
#include <troupe/core/completion.hpp>
#include <troupe/core/error.hpp>
#include <troupe/cpu/limits.hpp>

#include <cpuid.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <string>

namespace troupe::cpu {

namespace {

struct Cache {
  std::uint64_t bytes = 0;
  unsigned sharing = 1;  // threads
};

/// The data cache of a level as the processor describes it; of 0 bytes where it does not.
Cache cache_of(unsigned level) {
  // Intel's leaf, and AMD's; both say the same.
  for (const unsigned leaf : {4u, 0x8000001du})
    for (unsigned index = 0; index < 8; ++index) {
      unsigned a = 0, b = 0, c = 0, d = 0;
      if (!__get_cpuid_count(leaf, index, &a, &b, &c, &d)) break;
      constexpr unsigned none = 0, instructions = 2;
      const unsigned type = a & 31;
      if (type == none) break;
      if (type == instructions || (a >> 5 & 7) != level) continue;
      const std::uint64_t ways = (b >> 22) + 1, parts = (b >> 12 & 1023) + 1;
      const std::uint64_t line = (b & 4095) + 1, sets = std::uint64_t{c} + 1;
      return {ways * parts * line * sets, (a >> 14 & 4095) + 1};
    }
  return {};
}

/// One piece of measured work on each thread.
class Pieces final : public Work {
 public:
  using Piece = std::function<void(unsigned number)>;
  Pieces(System& system, unsigned count, const Piece& piece) : Work(system), piece_(piece) {
    chunks[0] = count;
    phases = 1;
  }

 private:
  void run_chunk(std::uint32_t, std::uint32_t chunk) noexcept override { piece_(chunk); }
  void destroy() noexcept override { delete this; }
  const Piece& piece_;
};

/// The machine's own time, whatever the system takes for it.
double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

class Measuring {
 public:
  /// @param seconds  for each figure
  Measuring(System& system, double seconds) : system_(system), seconds_(seconds) {}

  /// The best rate of runs in which each of so many threads does `piece(number, times)`, which
  /// comes to `amount(times)` in all of them together.
  template <class Piece>
  double best(unsigned threads, double amount_once, const Piece& piece) {
    // Short, so that some runs fall between those of other programs, on all threads at once.
    const double run_seconds = std::min(seconds_ / 8, 0.002);
    // One thread finds out how often makes a run.
    std::int64_t times = 1;
    const double first = now();
    for (double took = 0; took < run_seconds && now() - first < seconds_; times *= 2) {
      took = run_seconds;
      for (int i = 0; i < 3; ++i) {
        const double began = now();
        piece(0, times);
        took = std::min(took, now() - began);
      }
    }
    times = std::max<std::int64_t>(times / 2, 1);
    double rate = 0;
    const double began = now();
    do {
      const double run_began = now();
      if (threads == 1) {
        piece(0, times);
      } else {
        const Pieces::Piece each = [&](unsigned number) { piece(number, times); };
        const auto work = Ref<Pieces>::adopt(new Pieces(system_, threads, each));
        system_.submit(Ref<Work>::share(work.get()));
        system_.wait_until([&] { return work->complete(); }, "the machine's limits");
      }
      const double took = now() - run_began;
      rate = std::max(rate, amount_once * threads * static_cast<double>(times) / took);
    } while (now() - began < seconds_);
    return rate;
  }

  /// The same on one thread and on all.
  template <class Piece>
  Rate rate(double amount_once, const Piece& piece) {
    return {best(1, amount_once, piece), best(system_.threads(), amount_once, piece)};
  }

 private:
  System& system_;
  double seconds_;
};

Rate operations(Measuring& measuring, double (*loop)(std::int64_t rounds) noexcept) {
  constexpr std::int64_t rounds = 1000;
  return measuring.rate(loop(rounds), [&](unsigned, std::int64_t times) { loop(times * rounds); });
}

/// Each thread on floats of its own.
class Stretches {
 public:
  /// @param each  bytes of a thread's
  Stretches(Memory& memory, unsigned threads, std::uint64_t each)
      : memory_(memory),
        floats_(static_cast<std::int64_t>(each / sizeof(float) / 192 * 192)),
        bytes_(threads * static_cast<std::size_t>(floats_) * sizeof(float)),
        data_(memory.allocate(bytes_)) {
    std::fill_n(reinterpret_cast<float*>(data_), bytes_ / sizeof(float), 1.0f);
  }
  ~Stretches() { memory_.free(data_, bytes_); }
  Stretches(const Stretches&) = delete;
  Stretches& operator=(const Stretches&) = delete;

  double read(Measuring& measuring, unsigned threads, const LimitLoops& loops) const {
    return measuring.best(threads, bytes_of_one(), [&](unsigned number, std::int64_t times) {
      for (std::int64_t i = 0; i < times; ++i) {
        float sum = loops.read(of(number), floats_);
        asm volatile("" : "+m"(sum));
      }
    });
  }
  double triad(Measuring& measuring, unsigned threads, const LimitLoops& loops) const {
    const std::int64_t third = floats_ / 3;
    return measuring.best(threads, bytes_of_one(), [&](unsigned number, std::int64_t times) {
      float* const a = of(number);
      for (std::int64_t i = 0; i < times; ++i) loops.triad(a, a + third, a + 2 * third, third);
    });
  }

 private:
  [[nodiscard]] double bytes_of_one() const { return static_cast<double>(floats_) * sizeof(float); }
  [[nodiscard]] float* of(unsigned number) const {
    return reinterpret_cast<float*>(data_) + number * floats_;
  }

  Memory& memory_;
  const std::int64_t floats_;  // of a thread
  const std::size_t bytes_;    // of all
  std::byte* const data_;
};

/// What a thread works on so that it comes from a cache that so many others use as well, and not
/// from the one before.
std::uint64_t stretch_in(const MemoryLimit& cache, unsigned threads, std::uint64_t before) {
  return std::max(cache.bytes / 2 / std::min(threads, cache.sharing), 2 * before);
}

void raise(double& rate, double measured) { rate = std::max(rate, measured); }
void raise(Rate& rate, const Rate& measured) {
  raise(rate.one_thread, measured.one_thread);
  raise(rate.all_threads, measured.all_threads);
}

/// @param before  bytes of the cache before it
void measure_memory(
    Measuring& measuring,
    Memory& memory,
    MemoryLimit& limit,
    unsigned all_threads,
    std::uint64_t before,
    const LimitLoops& loops) {
  constexpr std::uint64_t ram_least = std::uint64_t{64} << 20, ram_most = std::uint64_t{512} << 20;
  for (const bool all : {false, true}) {
    const unsigned threads = all ? all_threads : 1;
    const std::uint64_t each = limit.bytes > 0
                                   ? stretch_in(limit, threads, before)
                                   : std::clamp(4 * before, ram_least, ram_most) / threads;
    const Stretches stretches(memory, threads, each);
    raise(
        all ? limit.read.all_threads : limit.read.one_thread,
        stretches.read(measuring, threads, loops));
    raise(
        all ? limit.triad.all_threads : limit.triad.one_thread,
        stretches.triad(measuring, threads, loops));
  }
}

}  // namespace

double Limits::bytes_per_second(double bytes) const noexcept {
  const auto holds = [&](const MemoryLimit& limit) {
    const unsigned caches = std::max(threads / limit.sharing, 1u);
    return limit.bytes == 0 || bytes <= static_cast<double>(limit.bytes * caches);
  };
  const auto place = std::find_if(memory.begin(), memory.end(), holds);
  return std::max(place->read.all_threads, place->triad.all_threads);
}

Limits measure_limits(Device& device, double seconds) {
  auto* const cpu = dynamic_cast<CpuDevice*>(&device);
  if (!cpu)
    throw Error(ErrorCode::device_mismatch, "\"" + std::string(device.name()) + "\" is not the CPU")
        .hint("the limits of a GPU are not measured");
  if (!(std::isfinite(seconds) && seconds > 0))
    throw Error(
        ErrorCode::invalid_argument,
        "limits cannot be measured in " + std::to_string(seconds) + " s")
        .hint("give a time above 0; a few seconds do");
  System& system = cpu->system();
  const LimitLoops& loops = cpu->limit_loops();
  Limits limits;
  limits.threads = system.threads();
  for (const unsigned level : {2u, 3u})
    if (const Cache cache = cache_of(level); cache.bytes > 0)
      limits.memory.push_back(
          {level == 2 ? "L2" : "L3", cache.bytes, cache.sharing, Rate{}, Rate{}});
  limits.memory.push_back({"RAM", 0, 1, Rate{}, Rate{}});
  // In rounds, so that what another program takes for a while takes no figure's best away.
  constexpr std::size_t rounds = 3;
  const std::size_t figures = 2 * ((loops.bfloat16 ? 2 : 1) + 2 * limits.memory.size());
  Measuring measuring(system, seconds / static_cast<double>(rounds * figures));
  if (loops.bfloat16) limits.bfloat16.emplace();
  // Of its own, so that nothing of it is left in the device's.
  Memory memory{Options{}};
  for (std::size_t round = 0; round < rounds; ++round) {
    raise(limits.float32, operations(measuring, loops.multiply_add));
    if (loops.bfloat16) raise(*limits.bfloat16, operations(measuring, loops.bfloat16));
    std::uint64_t before = cache_of(1).bytes;
    for (MemoryLimit& limit : limits.memory) {
      measure_memory(measuring, memory, limit, limits.threads, before, loops);
      before = limit.bytes;
    }
  }
  return limits;
}

}  // namespace troupe::cpu
