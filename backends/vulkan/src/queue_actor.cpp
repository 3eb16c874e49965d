#include "queue_actor.hpp"

#include <algorithm>
#include <utility>

namespace troupe::vulkan {

namespace {
constexpr VkPipelineStageFlags stages =
    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
constexpr VkAccessFlags writes = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
constexpr VkAccessFlags all_access =
    writes | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;
}  // namespace

QueueActor::QueueActor(Bare, Queue& queue)
    : queue_(queue), kept_(queue.context_), context_(*kept_) {}

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
  bound_ = nullptr;
  barrier();  // after what was submitted before
  self().send(Flush{});
  return true;
}

void QueueActor::barrier() {
  hazards_.clear();
  VkMemoryBarrier memory{};
  memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  memory.srcAccessMask = writes;
  memory.dstAccessMask = all_access;
  context_.vk.vkCmdPipelineBarrier(
      slot_->commands, stages, stages, 0, 1, &memory, 0, nullptr, 0, nullptr);
  queue_.counts.barriers.fetch_add(1, std::memory_order_relaxed);
}

void QueueActor::order(std::span<const Bound> ranges) {
  const bool conflict = hazards_.conflict(ranges) && !context_.without_hazard_barriers;
  if (context_.options.paranoid || hazards_.full() || conflict) barrier();
  hazards_.add(ranges);
}

void QueueActor::on(const Dispatch& dispatch) {
  ++count_;
  if (!begin()) return;
  const VkCommandBuffer commands = slot_->commands;
  const std::span<const Bound> bound(dispatch.bound, dispatch.bound_count);
  order(bound);
  const Pipeline& pipeline = *dispatch.pipeline;
  if (bound_ != &pipeline) {
    context_.vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle);
    bound_ = &pipeline;
  }
  if (context_.options.descriptors) {
    VkDescriptorBufferInfo buffers[bindings_max];
    VkWriteDescriptorSet descriptors[bindings_max];
    for (std::size_t i = 0; i < bound.size(); ++i) {
      buffers[i] = {bound[i].block->buffer, bound[i].begin, bound[i].end - bound[i].begin};
      descriptors[i] = {};
      descriptors[i].sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET;
      descriptors[i].dstBinding = static_cast<std::uint32_t>(i);
      descriptors[i].descriptorCount = 1;
      descriptors[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
      descriptors[i].pBufferInfo = &buffers[i];
    }
    context_.vk.vkCmdPushDescriptorSetKHR(
        commands,
        VK_PIPELINE_BIND_POINT_COMPUTE,
        pipeline.layout,
        0,
        static_cast<std::uint32_t>(bound.size()),
        descriptors);
  }
  context_.vk.vkCmdPushConstants(
      commands,
      pipeline.layout,
      VK_SHADER_STAGE_COMPUTE_BIT,
      0,
      dispatch.push_bytes,
      dispatch.push);
  context_.vk.vkCmdDispatch(commands, dispatch.groups[0], dispatch.groups[1], dispatch.groups[2]);
  queue_.counts.dispatches.fetch_add(1, std::memory_order_relaxed);
  recorded();
}

void QueueActor::on(Transfer&& transfer) {
  ++count_;
  if (transfer.staging.block) next_.staging.push_back(transfer.staging);
  if (!begin()) return;
  const Bound ranges[] = {transfer.from, transfer.to};
  const std::uint64_t bytes = transfer.to.end - transfer.to.begin;
  if (transfer.from.block) {
    order(ranges);
    const VkBufferCopy copy{transfer.from.begin, transfer.to.begin, bytes};
    context_.vk.vkCmdCopyBuffer(
        slot_->commands, transfer.from.block->buffer, transfer.to.block->buffer, 1, &copy);
  } else {
    order({&transfer.to, 1});
    // Fills whole words: what an allocation is rounded up to is its own.
    context_.vk.vkCmdFillBuffer(
        slot_->commands,
        transfer.to.block->buffer,
        transfer.to.begin,
        (bytes + 3) / 4 * 4,
        transfer.word);
  }
  recorded();
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

void QueueActor::recorded() {
  ++in_batch_;
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
  VkMemoryBarrier memory{};
  memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  memory.srcAccessMask = writes;
  memory.dstAccessMask = VK_ACCESS_HOST_READ_BIT;
  context_.vk.vkCmdPipelineBarrier(
      slot_->commands, stages, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &memory, 0, nullptr, 0, nullptr);
  VkResult result = context_.vk.vkEndCommandBuffer(slot_->commands);
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
