#pragma once

#include <troupe/core/atomics.hpp>

#include <cstdint>
#include <memory>
#include <utility>

namespace troupe {

/// The ready actors of one seat: its owner adds at the end, anybody takes from the front.
///
/// Threads   push() and the destructor by the owner; take() and size() by any.
/// Order     first in, first out, for owner and thieves alike: an actor that used up its turn goes
///           behind the others, which a stack at the owner's end would not give.
/// Bound     none; the ring doubles. Rings outgrown are kept until the end, for a thief may still
/// be
///           reading one; together they are smaller than the ring in use.
/// Why not   the Chase-Lev deque: its owner's end is a stack, and its fence costs what the
///           compare-and-swap costs here.
template <class T, class Atomics = StandardAtomics>
class RunQueue {
 public:
  explicit RunQueue(std::uint64_t capacity = 256) : newest_(std::make_unique<Ring>(capacity)) {
    ring_.store(newest_.get(), std::memory_order_relaxed);
  }

  /// Adds at the end. @returns how many are in the queue now, at most.
  std::uint64_t push(T item) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    // Acquire: the slot that is written again was read by the thief that moved the head past it.
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    if (tail - head > newest_->mask) grow(head, tail);
    newest_->at(tail).store(item, std::memory_order_relaxed);
    tail_.store(tail + 1, std::memory_order_release);
    return tail + 1 - head;
  }

  /// Takes the oldest; a null item when there is none.
  T take() noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      // Before the ring: an item pushed after the ring grew lies only in the new ring.
      const std::uint64_t tail = tail_.load(std::memory_order_acquire);
      if (static_cast<std::int64_t>(tail - head) <= 0) return T{};
      Ring* ring = ring_.load(std::memory_order_acquire);
      // May be overwritten already; then the head has moved and the exchange fails.
      const T item = ring->at(head).load(std::memory_order_relaxed);
      if (head_.compare_exchange_weak(
              head, head + 1, std::memory_order_acq_rel, std::memory_order_acquire))
        return item;
    }
  }

  /// How many it holds, or held a moment ago.
  [[nodiscard]] std::uint64_t size() const noexcept {
    const std::uint64_t head = head_.load(std::memory_order_acquire);
    const std::uint64_t tail = tail_.load(std::memory_order_acquire);
    return static_cast<std::int64_t>(tail - head) > 0 ? tail - head : 0;
  }

 private:
  struct Ring {
    explicit Ring(std::uint64_t capacity)
        : mask(capacity - 1), slots(new typename Atomics::template Atomic<T>[capacity]) {}
    auto& at(std::uint64_t index) noexcept { return slots[index & mask]; }

    std::uint64_t mask;
    std::unique_ptr<typename Atomics::template Atomic<T>[]> slots;
    std::unique_ptr<Ring> outgrown;
  };

  void grow(std::uint64_t head, std::uint64_t tail) {
    auto larger = std::make_unique<Ring>(2 * (newest_->mask + 1));
    for (std::uint64_t i = head; i != tail; ++i)
      larger->at(i).store(
          newest_->at(i).load(std::memory_order_relaxed), std::memory_order_relaxed);
    larger->outgrown = std::move(newest_);
    newest_ = std::move(larger);
    ring_.store(newest_.get(), std::memory_order_release);
  }

  // Apart, so that thieves and the owner do not write the same cache line.
  alignas(64) typename Atomics::template Atomic<std::uint64_t> head_{0};
  alignas(64) typename Atomics::template Atomic<std::uint64_t> tail_{0};
  typename Atomics::template Atomic<Ring*> ring_{nullptr};
  std::unique_ptr<Ring> newest_;
};

}  // namespace troupe
