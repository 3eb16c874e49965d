#pragma once

#include "instruction_sets.hpp"
#include "kernel.hpp"

#include <immintrin.h>
#include <sys/mman.h>

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
      // On huge pages, as the device's memory.
      constexpr std::size_t huge_page = std::size_t{2} << 20;
      scratch_bytes_ = (plan.scratch_bytes + huge_page - 1) / huge_page * huge_page;
      scratch_.reset(static_cast<std::byte*>(std::aligned_alloc(huge_page, scratch_bytes_)));
      ::madvise(scratch_.get(), scratch_bytes_, MADV_HUGEPAGE);
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

/// The loops that the machine's peak is measured by, of the newest instruction set here.
inline LimitLoops limit_loops_here() {
  LimitLoops loops;
  for (const InstructionSet& set : known_sets())
    if (set.present && (!set.permitted || set.permitted())) loops = set.make_table().limit_loops;
  return loops;
}

}  // namespace troupe::cpu::bench
