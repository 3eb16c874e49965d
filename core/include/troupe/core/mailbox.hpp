#pragma once

#include <troupe/core/atomics.hpp>
#include <troupe/core/message.hpp>

#include <cstdint>

namespace troupe {

/// The queue of messages that one actor reads and many actors write.
///
/// Threads   push() from any; pop() and what follows it from the one that runs the actor.
/// Order     kept between one sender and this mailbox; none between senders.
/// Bound     none of its own: streams' credits and the steps admitted bound what is in it.
/// Memory    links through the messages themselves; allocates nothing.
///
/// Senders push onto a stack with one compare-and-swap; the reader takes the whole stack at once
/// and turns it around. A mark in place of the stack's top says that the actor is idle, so that
/// exactly the sender that finds the mark schedules it.
template <class Node, class Atomics>
class BasicMailbox {
 public:
  BasicMailbox() noexcept : top_(idle_mark()) { taken_ = nullptr; }

  /// Adds a message at the end; never blocks.
  /// @returns true when the actor was idle and must now be scheduled.
  [[nodiscard]] bool push(Node& message) noexcept {
    Node* top = top_.load(std::memory_order_relaxed);
    do {
      message.next_ = top == idle_mark() ? nullptr : top;
      // Acquire: whoever schedules the actor passes on what its last turn wrote.
    } while (!top_.compare_exchange_weak(
        top, &message, std::memory_order_acq_rel, std::memory_order_relaxed));
    return top == idle_mark();
  }

  /// Takes the oldest message; null when there is none at the moment.
  [[nodiscard]] Node* pop() noexcept {
    Node* oldest = taken_;
    if (!oldest) {
      if (!top_.load(std::memory_order_relaxed)) return nullptr;
      Node* newest = top_.exchange(nullptr, std::memory_order_acquire);
      while (newest) {
        Node* older = newest->next_;
        newest->next_ = oldest;
        oldest = newest;
        newest = older;
      }
    }
    taken_ = oldest->next_;
    return oldest;
  }

  /// Ends a turn: marks the actor idle if nothing came meanwhile.
  /// @returns false when there is more to read and the actor must stay scheduled.
  [[nodiscard]] bool go_idle() noexcept {
    if (taken_) return false;
    Node* empty = nullptr;
    return top_.compare_exchange_strong(
        empty, idle_mark(), std::memory_order_release, std::memory_order_relaxed);
  }

  /// Begins a turn without a message, if the actor is neither scheduled nor running.
  [[nodiscard]] bool try_claim() noexcept {
    Node* idle = idle_mark();
    return top_.compare_exchange_strong(
        idle, nullptr, std::memory_order_acquire, std::memory_order_relaxed);
  }
  /// Whether the actor was neither scheduled nor running at this moment.
  [[nodiscard]] bool idle() const noexcept {
    return top_.load(std::memory_order_acquire) == idle_mark();
  }
  /// Whether a message waits. Exact only while nobody else runs the actor.
  [[nodiscard]] bool has_messages() const noexcept {
    const Node* top = top_.load(std::memory_order_acquire);
    return taken_ || (top && top != idle_mark());
  }
  /// The same for one who knows that the actor is idle and that nobody else can push.
  void claim() noexcept { top_.store(nullptr, std::memory_order_relaxed); }
  /// Ends such a turn, for one who knows that nobody else can push and that nobody has.
  void unclaim() noexcept { top_.store(idle_mark(), std::memory_order_release); }

 private:
  static Node* idle_mark() noexcept { return reinterpret_cast<Node*>(std::uintptr_t{1}); }

  // Newest first; the idle mark; null: empty while the actor runs.
  typename Atomics::template Atomic<Node*> top_;
  // Oldest first; only the reader's.
  typename Atomics::template Plain<Node*> taken_;
};

using Mailbox = BasicMailbox<Message, StandardAtomics>;

}  // namespace troupe
