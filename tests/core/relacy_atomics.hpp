#pragma once

// Relacy redefines words of the language: everything else is included before it, and the words are
// given back after it.

#include "run_queue.hpp"

#include <troupe/core/mailbox.hpp>
#include <troupe/core/references.hpp>
#include <troupe/core/sleepers.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <ostream>
#include <sstream>
#include <streambuf>
#include <string>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wall"
#pragma GCC diagnostic ignored "-Wextra"
#include <relacy/relacy.hpp>
#pragma GCC diagnostic pop
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst

// Relacy takes memory from its own heap while a model runs, and forgot these two of C++14.
inline void operator delete(void* memory, std::size_t) noexcept { ::operator delete(memory); }
inline void operator delete[](void* memory, std::size_t) noexcept { ::operator delete[](memory); }

namespace troupe::checking {

/// What a test makes weaker than written, to show that the checker would notice.
enum class Weak { nothing, release, acq_rel, asking, fence, exchange };

/// The model checker's atomics, spoken to like `std::atomic`.
template <Weak weak>
struct CheckedAtomics {
  static rl::memory_order order(std::memory_order order) {
    switch (order) {
      case std::memory_order_relaxed:
        return rl::mo_relaxed;
      case std::memory_order_consume:
      case std::memory_order_acquire:
        return rl::mo_acquire;
      case std::memory_order_release:
        return weak == Weak::release ? rl::mo_relaxed : rl::mo_release;
      case std::memory_order_acq_rel:
        return weak == Weak::acq_rel ? rl::mo_acquire : rl::mo_acq_rel;
      case std::memory_order_seq_cst:
        return rl::mo_seq_cst;
    }
    return rl::mo_seq_cst;
  }

  static void fence_after_rmw() {
    if (weak != Weak::fence) rl::atomic_thread_fence(rl::mo_seq_cst, $);
  }

  template <class T>
  class Atomic {
   public:
    Atomic() { value_.store(T(), rl::mo_relaxed, $); }
    Atomic(T value) { value_.store(value, rl::mo_relaxed, $); }
    T load(std::memory_order o) const {
      return const_cast<rl::atomic<T>&>(value_).load(order(o), $);
    }
    void store(T value, std::memory_order o) { value_.store(value, order(o), $); }
    T exchange(T value, std::memory_order o) { return value_.exchange(value, order(o), $); }
    bool compare_exchange_weak(
        T& expected, T value, std::memory_order o, std::memory_order failure) {
      if (weak == Weak::exchange) {
        if (value_.load(order(failure), $) != expected) return false;
        value_.store(value, rl::mo_release, $);
        return true;
      }
      return value_.compare_exchange_weak(expected, value, order(o), $, order(failure), $);
    }
    bool compare_exchange_strong(
        T& expected, T value, std::memory_order o, std::memory_order failure) {
      return value_.compare_exchange_strong(expected, value, order(o), $, order(failure), $);
    }
    T fetch_add(T value, std::memory_order o) {
      if (weak == Weak::asking && value == 0) return value_.load(rl::mo_relaxed, $);
      return value_.fetch_add(value, order(o), $);
    }
    T fetch_sub(T value, std::memory_order o) { return value_.fetch_sub(value, order(o), $); }

   private:
    rl::atomic<T> value_;
  };

  /// A variable without protection: two accesses at once, one of them a write, are an error.
  template <class T>
  class Plain {
   public:
    Plain() { value_($).store(T()); }
    Plain& operator=(T value) {
      value_($).store(value);
      return *this;
    }
    Plain& operator=(const Plain& other) { return *this = static_cast<T>(other); }
    Plain(const Plain&) = delete;
    operator T() const { return const_cast<rl::var<T>&>(value_)($).load(); }

   private:
    rl::var<T> value_;
  };
};

struct Outcome {
  bool passed;
  std::string report;
};

/// Keeps the beginning of what is written, without allocating: memory taken while a model runs
/// comes from Relacy's heap and must not be given back outside of it.
class Report final : public std::streambuf {
 public:
  Report() { setp(text_, text_ + sizeof text_); }
  [[nodiscard]] std::string text() const { return {pbase(), pptr()}; }

 private:
  int_type overflow(int_type c) override { return traits_type::not_eof(c); }
  char text_[16'384];
};

/// Runs a model under so many schedules, each with its own choices of what a load may see.
template <class Model>
Outcome check(unsigned schedules) {
  Report buffer;
  std::ostream report(&buffer);
  rl::test_params params;
  params.iteration_count = schedules;
  params.output_stream = &report;
  params.progress_stream = &report;
  params.search_type = rl::random_scheduler_type;
  const bool passed = rl::simulate<Model>(params);
  return {passed, buffer.text()};
}

}  // namespace troupe::checking
