#include "queue_actor.hpp"

#include "recording.hpp"

#include <algorithm>
#include <utility>

namespace troupe::vulkan {

QueueActor::QueueActor(Bare, Queue& queue)
    : queue_(queue),
      kept_(queue.context_),
      context_(*kept_),
      recorder_(context_, [this](std::uint64_t bytes) { return next_table(bytes); }) {}

QueueActor::QueueActor(Queue& queue) : QueueActor(Bare{}, queue) {
  for (Slot& slot : slots_) {
    VkCommandPoolCreateInfo pool{};
    pool.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
    pool.flags = VK_COMMAND_POOL_CREATE_TRANSIENT_BIT;
    pool.queueFamilyIndex = context_.queue_family;
    check(
        context_.vk.vkCreateCommandPool(context_.handle, &pool, nullptr, &slot.pool),
        "making a command pool");
    VkCommandBufferAllocateInfo allocate{};
    allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
    allocate.commandPool = slot.pool;
    allocate.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    allocate.commandBufferCount = 1;
    check(
        context_.vk.vkAllocateCommandBuffers(context_.handle, &allocate, &slot.commands),
        "making a command buffer");
  }
}

QueueActor::~QueueActor() {
  for (Slot& slot : slots_) context_.vk.vkDestroyCommandPool(context_.handle, slot.pool, nullptr);
}

bool QueueActor::begin() {
  if (queue_.lost_.load(std::memory_order_acquire)) {
    drop_all();
    return false;
  }
  if (slot_) return true;
  for (Slot& slot : slots_)
    if (slot.batch <= batch_done_) slot_ = &slot;
  // There is one: no more batches are under way than slots but one.
  context_.vk.vkResetCommandPool(context_.handle, slot_->pool, 0);
  VkCommandBufferBeginInfo begin{};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  const VkResult result = context_.vk.vkBeginCommandBuffer(slot_->commands, &begin);
  if (result < 0) {
    slot_ = nullptr;
    queue_.lose(error_of(result, "recording for " + context_.info.name));
    drop_all();
    return false;
  }
  recorder_.begin(slot_->commands);
  self().send(Flush{});
  return true;
}

/// Round and round: what was in a table is behind a barrier long before it is written again.
Allocation QueueActor::next_table(std::uint64_t bytes) noexcept {
  const Allocation& tables = queue_.tables_;
  if (tables_at_ + bytes > tables.bytes) tables_at_ = 0;
  Allocation table{tables.block, tables.offset + tables_at_, bytes, 0};
  tables_at_ += (bytes + 15) / 16 * 16;
  return table;
}

void QueueActor::on(const Dispatch& dispatch) {
  ++count_;
  if (!begin()) return;
  recorder_.record(dispatch);
  recorded(1);
}

void QueueActor::on(Transfer&& transfer) {
  ++count_;
  if (transfer.staging.block) next_.staging.push_back(transfer.staging);
  if (!begin()) return;
  recorder_.record(transfer);
  recorded(1);
}

void QueueActor::on(Replay&& replay) {
  ++count_;
  if (!begin()) return;
  recorder_.execute(replay.commands->commands);
  queue_.counts.dispatches.fetch_add(replay.commands->counts.dispatches, std::memory_order_relaxed);
  queue_.counts.barriers.fetch_add(replay.commands->counts.barriers, std::memory_order_relaxed);
  queue_.counts.replays.fetch_add(1, std::memory_order_relaxed);
  next_.recorded.push_back(std::move(replay.commands));
  recorded(batch_min);  // a step is as good as a batch
}

void QueueActor::on(FenceRequest&& request) {
  ++count_;
  if (!begin()) {
    request.fence->end(true);
    return;
  }
  next_.fences.push_back(std::move(request.fence));
  submit();
}

void QueueActor::on(Flush&&) {
  if (slot_ && batch_done_ == batch_) submit();
}

void QueueActor::on(BatchDone&& done) {
  batch_done_ = std::max(batch_done_, done.batch);
  if (slot_ && (batch_done_ == batch_ || !next_.fences.empty())) submit();
}

void QueueActor::on(const Timestamp& timestamp) {
  ++count_;
  if (!begin()) return;
  recorder_.write_time(timestamp.pool, timestamp.query);
  recorded(1);
}

void QueueActor::recorded(std::uint32_t count) {
  in_batch_ += count;
  if (in_batch_ >= batch_min && batch_ - batch_done_ < 2) submit();
}

/// What is recorded stays undone: the device is lost. Slots that it has are left to it.
void QueueActor::drop_all() noexcept {
  slot_ = nullptr;
  in_batch_ = 0;
  Queue::Submitted dropped = std::exchange(next_, {});
  queue_.drop(dropped);
}

void QueueActor::submit() {
  if (queue_.lost_.load(std::memory_order_acquire)) return drop_all();
  // One slot stays free to record into; a batch beyond goes once another is through.
  if (batch_ - batch_done_ + 2 > slots) return;
  recorder_.end(VK_PIPELINE_STAGE_HOST_BIT, VK_ACCESS_HOST_READ_BIT);
  const CommandRecorder::Counts counts = recorder_.take_counts();
  queue_.counts.dispatches.fetch_add(counts.dispatches, std::memory_order_relaxed);
  queue_.counts.barriers.fetch_add(counts.barriers, std::memory_order_relaxed);
  VkResult result = context_.vk.vkEndCommandBuffer(slot_->commands);
  if (context_.options.lost_after_submissions != 0 &&
      batch_ >= context_.options.lost_after_submissions)
    result = VK_ERROR_DEVICE_LOST;
  const std::uint64_t value = batch_ + 1;
  if (result >= 0) {
    VkTimelineSemaphoreSubmitInfo values{};
    values.sType = VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO;
    values.signalSemaphoreValueCount = 1;
    values.pSignalSemaphoreValues = &value;
    VkSubmitInfo submit{};
    submit.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO;
    submit.pNext = &values;
    submit.commandBufferCount = 1;
    submit.pCommandBuffers = &slot_->commands;
    submit.signalSemaphoreCount = 1;
    submit.pSignalSemaphores = &queue_.timeline_;
    result = context_.vk.vkQueueSubmit(context_.queue, 1, &submit, VK_NULL_HANDLE);
  }
  if (result < 0) {
    queue_.lose(error_of(result, "submitting to " + context_.info.name));
    return drop_all();
  }
  slot_->batch = value;
  slot_ = nullptr;
  in_batch_ = 0;
  Queue::Submitted submitted = std::exchange(next_, {});
  submitted.batch = value;
  submitted.count = count_;
  batch_ = value;
  queue_.counts.submissions.fetch_add(1, std::memory_order_relaxed);
  queue_.submitted(std::move(submitted));
}

}  // namespace troupe::vulkan
