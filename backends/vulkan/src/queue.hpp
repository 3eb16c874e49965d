#pragma once

#include "dispatch.hpp"
#include "sink.hpp"

#include <troupe/core/address.hpp>
#include <troupe/core/system.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace troupe::vulkan {

class QueueActor;

/// The way to a device's queue for those who send it work, and from it for those who wait. Work is
/// recorded and submitted by an actor of its own (queue_actor.hpp); this side counts what was sent
/// and holds the one thread that waits for the device.
///
/// Threads   any.
class Queue final : public Sink {
 public:
  Queue(System& system, std::shared_ptr<Context> context);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// For tensors, and from which transfers are staged; set before anything is sent.
  void set_memory(Memory& memory, Memory& staging);

  [[nodiscard]] Memory& memory() noexcept override { return *memory_; }
  [[nodiscard]] RandomSource random(const Launch& launch) const noexcept override {
    return {launch.random_seed, launch.random_call, nullptr};
  }
  /// Each returns the count by which `done` tells that it is over.
  std::uint64_t send(const Dispatch& dispatch) override;
  std::uint64_t send(Transfer transfer) override;
  std::uint64_t send(Replay replay);
  std::uint64_t send(const Timestamp& timestamp);
  /// A ticket for all that this thread, and those it heard from, have sent.
  [[nodiscard]] Ref<Fence> fence(std::function<void()> then = {});

  /// How much was sent, and how much of it is done, in the order of the queue. What was freed when
  /// `sent` was n is no longer used once `done` is n.
  [[nodiscard]] std::uint64_t sent() const noexcept {
    return sent_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t done() const noexcept {
    return done_.load(std::memory_order_acquire);
  }
  /// Waits until `done` has reached a count, running actors meanwhile; `inside_actor` in a turn.
  void wait(std::uint64_t count);
  /// Waits, without running anything, for what has been submitted; returns `done`.
  std::uint64_t settle();
  /// Ends the thread; what is under way is waited for.
  void stop() noexcept;

  /// Throws if the device is lost.
  void check_alive() const;

  struct Counts {
    std::atomic<std::uint64_t> dispatches{0};
    std::atomic<std::uint64_t> barriers{0};
    std::atomic<std::uint64_t> submissions{0};
    std::atomic<std::uint64_t> host_waits{0};
    std::atomic<std::uint64_t> replays{0};
  };
  Counts counts;

 private:
  friend class QueueActor;
  friend struct TestAccess;
  // What is made of a queue is undone if the rest throws: the public constructor begins with this.
  struct Bare {};
  Queue(Bare, System& system, std::shared_ptr<Context> context) noexcept;

  /// A batch that the device has: what is to be done when it is through with it.
  struct Submitted {
    std::uint64_t batch = 0;
    std::uint64_t count = 0;  // work of the queue up to its end
    std::vector<Ref<Fence>> fences;
    std::vector<Allocation> staging;
    std::vector<std::shared_ptr<const RecordedCommands>> recorded;
  };
  void submitted(Submitted&& submitted);
  void lose(Error error) noexcept;
  void finish(Submitted& submitted) noexcept;
  /// Answers those who wait for a batch that never reached the device.
  void drop(Submitted& submitted) noexcept;
  void wait_for_batches() noexcept;

  System& system_;
  std::shared_ptr<Context> context_;
  Memory* memory_ = nullptr;
  Memory* staging_ = nullptr;
  Allocation tables_;  // for the actor's joined dispatches
  VkSemaphore timeline_ = VK_NULL_HANDLE;
  Address<Dispatch, Transfer, Replay, FenceRequest, Flush, BatchDone, Timestamp> actor_;
  std::atomic<std::uint64_t> sent_{0};
  std::atomic<std::uint64_t> submitted_{0};
  std::atomic<std::uint64_t> done_{0};
  std::atomic<bool> lost_{false};

  mutable std::mutex lock_;
  std::condition_variable changed_;
  std::deque<Submitted> under_way_;
  bool stopping_ = false;
  Error why_lost_;
  std::thread waiter_;
};

}  // namespace troupe::vulkan
