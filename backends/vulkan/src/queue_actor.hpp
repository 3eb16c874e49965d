#pragma once

#include "command_recorder.hpp"
#include "queue.hpp"

#include <troupe/core/actor.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace troupe::vulkan {

/// Records what is sent to a device's queue into command buffers and submits them.
///
/// Receives  `Dispatch`, `Transfer`, `Replay`, `FenceRequest`, `Timestamp`, in the order of their
///           causes; `Flush` from itself; `BatchDone` from the thread that waits.
/// Batches   are submitted when the device has nothing to do, and while it has when they are large;
///           what comes meanwhile is recorded for the next.
/// Barriers  and joined dispatches are CommandRecorder's matter.
/// Failing   a device that is lost stays lost: everything is answered, nothing is submitted.
class QueueActor final
    : public Actor<Dispatch, Transfer, Replay, FenceRequest, Flush, BatchDone, Timestamp> {
 public:
  static constexpr std::string_view name = "vulkan queue";

  explicit QueueActor(Queue& queue);
  ~QueueActor();

 private:
  friend ActorAccess;
  // What is made of one is undone if the rest throws: the public constructor begins with this.
  struct Bare {};
  QueueActor(Bare, Queue& queue);

  void on(const Dispatch& dispatch);
  void on(Transfer&& transfer);
  void on(Replay&& replay);
  void on(FenceRequest&& request);
  void on(Flush&&);
  void on(BatchDone&& done);
  void on(const Timestamp& timestamp);

  /// A command buffer with the pool it is reset with.
  struct Slot {
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    std::uint64_t batch = 0;  // whose it was last
  };

  /// Ready to record; false when the device is lost.
  bool begin();
  void recorded(std::uint32_t count);
  [[nodiscard]] Allocation next_table(std::uint64_t bytes) noexcept;
  void submit();
  void drop_all() noexcept;

  static constexpr std::size_t slots = 6;
  static constexpr std::uint32_t batch_min = 64;

  Queue& queue_;
  std::shared_ptr<Context> kept_;  // outlives the queue, where the actor does
  Context& context_;
  std::array<Slot, slots> slots_;
  Slot* slot_ = nullptr;  // being recorded
  CommandRecorder recorder_;
  std::uint64_t tables_at_ = 0;  // where in the queue's memory for tables the next one goes
  Queue::Submitted next_;
  std::uint32_t in_batch_ = 0;
  std::uint64_t count_ = 0;       // of all work, done or not
  std::uint64_t batch_ = 0;       // the last submitted
  std::uint64_t batch_done_ = 0;  // the last that is done
};

}  // namespace troupe::vulkan
