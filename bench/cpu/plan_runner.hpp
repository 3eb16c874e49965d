#pragma once

#include "kernel.hpp"

#include <immintrin.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

/// What the benches of kernels share: threads that run a plan's chunks, and the machine's peak.
namespace troupe::cpu::bench {

/// Runs plans on the calling thread and `threads` − 1 others that spin between launches, so that
/// the kernels are measured and not the waking of threads. What the device would run at once runs
/// on the calling thread alone.
class Runner {
 public:
  explicit Runner(int threads) {
    for (int i = 1; i < threads; ++i) others_.emplace_back([this] { serve(); });
  }
  ~Runner() {
    stopping_ = true;
    for (std::thread& other : others_) other.join();
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void run(const KernelCall& call, const Plan& plan) {
    if (plan.scratch_bytes > scratch_bytes_) {
      scratch_bytes_ = (plan.scratch_bytes + 63) / 64 * 64;
      scratch_.reset(static_cast<std::byte*>(std::aligned_alloc(64, scratch_bytes_)));
    }
    call_ = &call;
    plan_ = &plan;
    const bool at_once = plan.cost_ns < at_once_ns;
    for (std::size_t phase = 0; phase < plan.phase_count; ++phase) {
      if (at_once || others_.empty()) {
        for (std::uint32_t i = 0; i < plan.phases[phase].chunks; ++i)
          plan.phases[phase].run(call, plan, i, scratch_.get());
        continue;
      }
      next_ = finished_ = 0;
      phase_ = phase;
      round_.fetch_add(1);
      take(phase);
      const auto all = static_cast<int>(others_.size());
      while (finished_ < all) _mm_pause();
    }
  }

 private:
  void take(std::size_t phase) {
    const Plan::Phase& work = plan_->phases[phase];
    for (std::uint32_t i = next_++; i < work.chunks; i = next_++)
      work.run(*call_, *plan_, i, scratch_.get());
  }
  void serve() {
    for (int seen = 0; !stopping_;) {
      if (round_ == seen) {
        _mm_pause();
        continue;
      }
      ++seen;
      take(phase_);
      ++finished_;
    }
  }

  const KernelCall* call_ = nullptr;
  const Plan* plan_ = nullptr;
  std::size_t phase_ = 0;
  std::atomic<int> round_{0};
  std::atomic<int> finished_{0};
  std::atomic<std::uint32_t> next_{0};
  std::atomic<bool> stopping_{false};
  std::size_t scratch_bytes_ = 0;
  std::unique_ptr<std::byte, decltype(&std::free)> scratch_{nullptr, &std::free};
  std::vector<std::thread> others_;
};

/// Twelve chains of FMAs, enough for the latency of two ports. Returns the floating-point
/// operations.
__attribute__((target("avx2,fma"))) inline double spin_avx2(long steps) {
  __m256 chain[12];
  for (int i = 0; i < 12; ++i) chain[i] = _mm256_set1_ps(1.0f + static_cast<float>(i));
  __m256 factor = _mm256_set1_ps(0.999f);
  asm volatile("" : "+x"(factor));
  for (long step = 0; step < steps; ++step)
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) chain[i] = _mm256_fmadd_ps(chain[i], factor, factor);
  for (int i = 0; i < 12; ++i) asm volatile("" ::"x"(chain[i]));
  return 12.0 * 16.0 * static_cast<double>(steps);
}
__attribute__((target("avx512f"))) inline double spin_avx512(long steps) {
  __m512 chain[12];
  for (int i = 0; i < 12; ++i) chain[i] = _mm512_set1_ps(1.0f + static_cast<float>(i));
  __m512 factor = _mm512_set1_ps(0.999f);
  asm volatile("" : "+v"(factor));
  for (long step = 0; step < steps; ++step)
#pragma GCC unroll 12
    for (int i = 0; i < 12; ++i) chain[i] = _mm512_fmadd_ps(chain[i], factor, factor);
  for (int i = 0; i < 12; ++i) asm volatile("" ::"v"(chain[i]));
  return 12.0 * 32.0 * static_cast<double>(steps);
}
/// As many as this machine's widest FMA does; 0 where it has none.
inline double spin(long steps) {
  if (__builtin_cpu_supports("avx512f")) return spin_avx512(steps);
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return spin_avx2(steps);
  return 0;
}

}  // namespace troupe::cpu::bench
