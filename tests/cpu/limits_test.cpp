#include "instruction_sets.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/cpu/limits.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

namespace troupe::cpu {
namespace {

void check_rate(const Rate& rate, unsigned threads) {
  CHECK(rate.one_thread > 1e8);  // no machine that this is built for is slower
  CHECK(rate.all_threads > 0.2 * rate.one_thread);
  // Others may take a thread away for all of one measurement, and none of the other.
  CHECK(rate.all_threads < 4 * threads * rate.one_thread);
}

}  // namespace

TEST_CASE("limits are measured in time, and in sensible proportions", "[cpu]") {
  for (const unsigned threads : {1u, 2u}) {
    System system({.threads = threads});
    Device& device = attach(system);
    const auto began = std::chrono::steady_clock::now();
    const Limits limits = measure_limits(device, 1);
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(8));
    CHECK(limits.threads == threads);
    check_rate(limits.float32, threads);
    const std::string_view set = instruction_set(device);
    CHECK(limits.bfloat16.has_value() == (set == "avx512bf16" || set == "amx"));
    if (limits.bfloat16) {
      check_rate(*limits.bfloat16, threads);
      CHECK(limits.bfloat16->one_thread > limits.float32.one_thread);
    }
    REQUIRE(!limits.memory.empty());
    CHECK(limits.memory.back().place == "RAM");
    for (const MemoryLimit& memory : limits.memory) {
      check_rate(memory.read, threads);
      check_rate(memory.triad, threads);
    }
    // The nearest cache is faster than RAM, where the processor tells of it.
    if (limits.memory.size() > 1)
      CHECK(limits.memory[0].read.one_thread > 1.2 * limits.memory.back().read.one_thread);
    CHECK(memory(device).in_use_bytes == 0);
    CHECK(memory(device).cached_bytes == 0);
  }
}

TEST_CASE("bytes are held to the nearest place that has room for them", "[cpu]") {
  Limits limits;
  limits.threads = 4;
  limits.memory = {
      {"L2", 1000, 2, {1, 90}, {1, 80}},
      {"L3", 10'000, 4, {1, 40}, {1, 50}},
      {"RAM", 0, 1, {1, 10}, {1, 9}}};
  CHECK(limits.bytes_per_second(2000) == 90);  // two caches, of two threads each
  CHECK(limits.bytes_per_second(2001) == 50);
  CHECK(limits.bytes_per_second(10'000) == 50);
  CHECK(limits.bytes_per_second(10'001) == 10);
}

TEST_CASE("the loops that limits are measured by count and compute right", "[cpu]") {
  constexpr std::int64_t n = 192;
  alignas(64) float a[n];
  alignas(64) float b[n];
  alignas(64) float c[n];
  for (std::int64_t i = 0; i < n; ++i) {
    b[i] = static_cast<float>(i);
    c[i] = static_cast<float>(1000 * i);
  }
  for (const InstructionSet& set : known_sets()) {
    if (!set.present || (set.permitted && !set.permitted())) continue;
    const LimitLoops loops = set.make_table().limit_loops;
    CHECK(loops.read(b, n) == n * (n - 1) / 2);
    loops.triad(a, b, c, n);
    for (std::int64_t i = 0; i < n; ++i)
      CHECK(std::abs(a[i] - (b[i] + 0.999f * c[i])) <= 1e-6f * c[i]);
    CHECK(loops.multiply_add(1000) == 1000 * loops.multiply_add(1));
    CHECK(loops.multiply_add(1) > 0);
    if (loops.bfloat16) {
      CHECK(loops.bfloat16(1000) == 1000 * loops.bfloat16(1));
      CHECK(loops.bfloat16(1) > loops.multiply_add(1));
    }
  }
}

TEST_CASE("limits refuse times that are none", "[cpu]") {
  System system({.threads = 1});
  Device& device = attach(system);
  for (const double seconds : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    try {
      (void)measure_limits(device, seconds);
      FAIL("it measured in " << seconds << " s");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      CHECK(!error.hint().empty());
    }
  }
}

}  // namespace troupe::cpu
