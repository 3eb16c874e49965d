#include "command_recorder.hpp"

#include "workgroups.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::vulkan {

namespace {

/// The same ranges once each, written if any of them is: what works in place names them twice.
std::size_t distinct(std::span<const Bound> ranges, Bound* out) noexcept {
  std::size_t count = 0;
  for (const Bound& range : ranges) {
    Bound* const found = std::find_if(out, out + count, [&](const Bound& other) {
      return other.block == range.block && other.begin == range.begin && other.end == range.end;
    });
    if (found == out + count)
      out[count++] = range;
    else
      found->written = found->written || range.written;
  }
  return count;
}

}  // namespace

void CommandRecorder::begin(VkCommandBuffer commands) {
  commands_ = commands;
  bound_ = nullptr;
  barrier();
}

void CommandRecorder::show_writes(VkPipelineStageFlags stages, VkAccessFlags readers) {
  VkMemoryBarrier memory{};
  memory.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER;
  memory.srcAccessMask = all_writes;
  memory.dstAccessMask = readers;
  context_.vk.vkCmdPipelineBarrier(
      commands_, all_stages, stages, 0, 1, &memory, 0, nullptr, 0, nullptr);
}

void CommandRecorder::barrier() {
  hazards_.clear();
  show_writes(all_stages, all_access);
  ++counts_.barriers;
}

void CommandRecorder::order(std::span<const Bound> ranges) {
  const bool conflict = hazards_.conflict(ranges) && !context_.without_hazard_barriers;
  if (context_.options.paranoid || hazards_.full() || conflict) barrier();
  hazards_.add(ranges);
}

void CommandRecorder::run(
    const Pipeline& pipeline,
    std::span<const std::uint32_t> push,
    const std::uint32_t (&groups)[3]) {
  if (bound_ != &pipeline) {
    context_.vk.vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle);
    bound_ = &pipeline;
  }
  context_.vk.vkCmdPushConstants(
      commands_,
      pipeline.layout,
      VK_SHADER_STAGE_COMPUTE_BIT,
      0,
      static_cast<std::uint32_t>(push.size_bytes()),
      push.data());
  context_.vk.vkCmdDispatch(commands_, groups[0], groups[1], groups[2]);
  ++counts_.dispatches;
}

void CommandRecorder::record(const Dispatch& dispatch) {
  if (dispatch.joined_groups > 0) {
    if (row_count_ > 0 && !joins(dispatch)) write_joined();
    return join(dispatch);
  }
  write_joined();
  const std::span<const Bound> bound(dispatch.bound, dispatch.bound_count);
  order(bound);
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
        commands_,
        VK_PIPELINE_BIND_POINT_COMPUTE,
        dispatch.pipeline->layout,
        0,
        static_cast<std::uint32_t>(bound.size()),
        descriptors);
  }
  run(*dispatch.pipeline, {dispatch.push, dispatch.push_bytes / 4u}, dispatch.groups);
}

void CommandRecorder::record(const Transfer& transfer) {
  write_joined();
  const Bound ranges[] = {transfer.from, transfer.to};
  const std::uint64_t bytes = transfer.to.end - transfer.to.begin;
  if (transfer.from.block) {
    order(ranges);
    const VkBufferCopy copy{transfer.from.begin, transfer.to.begin, bytes};
    context_.vk.vkCmdCopyBuffer(
        commands_, transfer.from.block->buffer, transfer.to.block->buffer, 1, &copy);
    return;
  }
  order({&transfer.to, 1});
  // Fills whole words: what an allocation is rounded up to is its own.
  context_.vk.vkCmdFillBuffer(
      commands_, transfer.to.block->buffer, transfer.to.begin, (bytes + 3) / 4 * 4, transfer.word);
}

void CommandRecorder::write_time(VkQueryPool pool, std::uint32_t query) {
  write_joined();
  barrier();
  context_.vk.vkCmdResetQueryPool(commands_, pool, query, 1);
  context_.vk.vkCmdWriteTimestamp(commands_, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool, query);
}

void CommandRecorder::execute(VkCommandBuffer secondary) {
  write_joined();
  context_.vk.vkCmdExecuteCommands(commands_, 1, &secondary);
  bound_ = nullptr;
  hazards_.clear();
}

void CommandRecorder::end(VkPipelineStageFlags stages, VkAccessFlags readers) {
  write_joined();
  show_writes(stages, readers);
}

// --- joined dispatches
// ---------------------------------------------------------------------------------------

bool CommandRecorder::joins(const Dispatch& dispatch) const noexcept {
  if (row_count_ == rows_max || dispatch.pipeline != joined_.pipeline ||
      dispatch.push_bytes != joined_.push_bytes ||
      joined_groups_ + dispatch.joined_groups > 0xffff'ffff)
    return false;
  // Behind the addresses and the number of elements.
  const std::size_t own = 2u * dispatch.bound_count + 1;
  if (std::memcmp(dispatch.push + own, joined_.push + own, dispatch.push_bytes - own * 4) != 0)
    return false;
  Bound ranges[bindings_max];
  const std::size_t count = distinct({dispatch.bound, dispatch.bound_count}, ranges);
  for (const Bound& waiting : joined_ranges_)
    for (const Bound& range : std::span(ranges, count))
      if (Hazards::overlap(range, waiting)) return false;
  return true;
}

void CommandRecorder::join(const Dispatch& dispatch) {
  if (row_count_ == 0) joined_ = dispatch;
  ++row_count_;
  joined_groups_ += dispatch.joined_groups;
  const std::size_t own = 2u * dispatch.bound_count + 1;
  rows_.insert(rows_.end(), dispatch.push, dispatch.push + own);
  rows_.push_back(static_cast<std::uint32_t>(joined_groups_));
  Bound ranges[bindings_max];
  const std::size_t count = distinct({dispatch.bound, dispatch.bound_count}, ranges);
  joined_ranges_.insert(joined_ranges_.end(), ranges, ranges + count);
}

void CommandRecorder::write_joined() {
  if (row_count_ == 0) return;
  const std::uint64_t bytes = rows_.size() * 4;
  const Allocation table = table_(bytes);
  Bound range = Bound::of(table, 0, bytes, true);
  order({&range, 1});
  context_.vk.vkCmdUpdateBuffer(commands_, range.block->buffer, range.begin, bytes, rows_.data());
  barrier();  // for the table, and for the rows as well

  std::uint32_t push[push_bytes_max / 4];
  const std::uint64_t address = table.address();
  std::memcpy(push, &address, 8);
  push[2] = row_count_;
  const std::size_t own = 2u * joined_.bound_count + 1;
  const std::size_t rest = joined_.push_bytes / 4u - own;
  std::memcpy(push + 3, joined_.push + own, rest * 4);
  const Grid grid = grid_of(joined_groups_);
  run(*joined_.pipeline, {push, 3 + rest}, {grid.x, grid.y, grid.z});
  range.written = false;
  hazards_.add({&range, 1});
  hazards_.add(joined_ranges_);

  row_count_ = 0;
  joined_groups_ = 0;
  rows_.clear();
  joined_ranges_.clear();
}

}  // namespace troupe::vulkan
