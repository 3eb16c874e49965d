#pragma once

#include "hazards.hpp"
#include "queue.hpp"

#include <troupe/core/actor.hpp>

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

namespace troupe::vulkan {

/// Records what is sent to a device's queue into command buffers and submits them.
///
/// Receives  `Dispatch`, `Transfer`, `FenceRequest`, in the order of their causes; `Flush` from
///           itself; `BatchDone` from the thread that waits.
/// Batches   are submitted when the device has nothing to do, and while it has when they are large;
///           what comes meanwhile is recorded for the next.
/// Barriers  go where ranges of memory overlap, never where tensors are the same.
/// Failing   a device that is lost stays lost: everything is answered, nothing is submitted.
class QueueActor final : public Actor<Dispatch, Transfer, FenceRequest, Flush, BatchDone> {
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
  void on(FenceRequest&& request);
  void on(Flush&&);
  void on(BatchDone&& done);

  /// A command buffer with the pool it is reset with.
  struct Slot {
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer commands = VK_NULL_HANDLE;
    std::uint64_t batch = 0;  // whose it was last
  };

  /// Ready to record; false when the device is lost.
  bool begin();
  void order(std::span<const Bound> ranges);
  void barrier();
  void recorded();
  void submit();
  void drop_all() noexcept;

  static constexpr std::size_t slots = 6;
  static constexpr std::uint32_t batch_min = 64;

  Queue& queue_;
  std::shared_ptr<Context> kept_;  // outlives the queue, where the actor does
  Context& context_;
  std::array<Slot, slots> slots_;
  Slot* slot_ = nullptr;  // being recorded
  Hazards hazards_;
  const Pipeline* bound_ = nullptr;
  Queue::Submitted next_;
  std::uint32_t in_batch_ = 0;
  std::uint64_t count_ = 0;       // of all work, done or not
  std::uint64_t batch_ = 0;       // the last submitted
  std::uint64_t batch_done_ = 0;  // the last that is done
};

}  // namespace troupe::vulkan
