#include "allocator.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace troupe::vulkan {

namespace {

std::uint32_t choose_type(const VkPhysicalDeviceMemoryProperties& memory, Purpose purpose) {
  // The first type that has all of the flags of the first list that any type has.
  const auto find = [&](VkMemoryPropertyFlags wanted) {
    for (std::uint32_t i = 0; i < memory.memoryTypeCount; ++i)
      if ((memory.memoryTypes[i].propertyFlags & wanted) == wanted) return static_cast<int>(i);
    return -1;
  };
  constexpr VkMemoryPropertyFlags visible =
      VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
  constexpr VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
  int type = -1;
  if (purpose == Purpose::staging) {
    type = find(visible | VK_MEMORY_PROPERTY_HOST_CACHED_BIT);
    if (type < 0) type = find(visible);
    return static_cast<std::uint32_t>(std::max(type, 0));
  }
  // Where the host sees all of the device's memory, it may write there without a copy. A window of
  // 256 MiB, which older GPUs have, is not all.
  type = find(local | visible);
  if (type >= 0) {
    const auto heap_bytes = [&](int i) {
      return memory.memoryHeaps[memory.memoryTypes[i].heapIndex].size;
    };
    const int best = find(local);
    if (heap_bytes(type) >= heap_bytes(best)) return static_cast<std::uint32_t>(type);
  }
  return static_cast<std::uint32_t>(std::max(find(local), 0));
}

std::string megabytes(std::uint64_t bytes) {
  return bytes < (1 << 20) ? std::to_string(bytes) + " bytes"
                           : std::to_string((bytes + (1 << 19)) >> 20) + " MiB";
}

}  // namespace

Allocator::Allocator(Context& context, Purpose purpose, std::function<std::uint64_t()> settle)
    : context_(context),
      purpose_(purpose),
      memory_type_(choose_type(context.memory, purpose)),
      settle_(std::move(settle)) {}

Allocator::~Allocator() {
  for (const auto& block : blocks_) destroy(*block);
}

void Allocator::destroy(Block& block) noexcept {
  context_.vk.vkDestroyBuffer(context_.handle, block.buffer, nullptr);
  context_.vk.vkFreeMemory(context_.handle, block.memory, nullptr);
  counts_.reserved -= block.bytes;
}

/// Sizes that waste an eighth at most, so that the next tensor of about this size finds it.
std::uint64_t Allocator::rounded(std::uint64_t bytes) noexcept {
  bytes = std::max(bytes, alignment);
  std::uint64_t step = alignment;
  while (step * 16 <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

std::uint64_t Allocator::limit() const {
  if (context_.options.memory_bytes_max > 0) return context_.options.memory_bytes_max;
  const std::uint32_t heap = context_.memory.memoryTypes[memory_type_].heapIndex;
  if (context_.memory_budget) {
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{};
    budget.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT;
    VkPhysicalDeviceMemoryProperties2 properties{};
    properties.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2;
    properties.pNext = &budget;
    vkGetPhysicalDeviceMemoryProperties2(context_.physical, &properties);
    // What others use counts against the budget; what this process uses does not take from itself.
    if (budget.heapBudget[heap] > 0) return budget.heapBudget[heap];
  }
  return context_.memory.memoryHeaps[heap].size / 5 * 4;
}

bool Allocator::add_block(std::uint64_t bytes) {
  const std::uint64_t most = limit();
  std::uint64_t size = std::max(bytes, block_bytes_min);
  // Near the limit a block of just what is needed may still fit.
  if (counts_.reserved + size > most) size = bytes;
  if (counts_.reserved + size > most) return false;

  auto block = std::make_unique<Block>();
  VkBufferCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO;
  create.size = size;
  create.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  create.sharingMode = VK_SHARING_MODE_EXCLUSIVE;
  if (context_.vk.vkCreateBuffer(context_.handle, &create, nullptr, &block->buffer) < 0)
    return false;
  VkMemoryRequirements needs;
  context_.vk.vkGetBufferMemoryRequirements(context_.handle, block->buffer, &needs);
  VkMemoryAllocateFlagsInfo flags{};
  flags.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO;
  flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
  VkMemoryAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO;
  allocate.pNext = &flags;
  allocate.allocationSize = needs.size;
  allocate.memoryTypeIndex = memory_type_;
  if (context_.vk.vkAllocateMemory(context_.handle, &allocate, nullptr, &block->memory) < 0) {
    context_.vk.vkDestroyBuffer(context_.handle, block->buffer, nullptr);
    return false;
  }
  const auto checked = [&](VkResult result, const char* what) {
    if (result >= 0) return;
    context_.vk.vkDestroyBuffer(context_.handle, block->buffer, nullptr);
    context_.vk.vkFreeMemory(context_.handle, block->memory, nullptr);
    check(result, what);
  };
  checked(
      context_.vk.vkBindBufferMemory(context_.handle, block->buffer, block->memory, 0),
      "placing a buffer");
  VkBufferDeviceAddressInfo where{};
  where.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO;
  where.buffer = block->buffer;
  block->address = context_.vk.vkGetBufferDeviceAddress(context_.handle, &where);
  const bool hidden = purpose_ == Purpose::device && context_.hidden_memory;
  if (!hidden && context_.memory.memoryTypes[memory_type_].propertyFlags &
                     VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT) {
    void* mapped = nullptr;
    checked(
        context_.vk.vkMapMemory(context_.handle, block->memory, 0, VK_WHOLE_SIZE, 0, &mapped),
        "mapping a buffer");
    block->mapped = static_cast<std::byte*>(mapped);
  }
  block->bytes = size;
  block->number = next_number_++;
  block->free.emplace(0, size);
  counts_.reserved += size;
  blocks_.push_back(std::move(block));
  return true;
}

bool Allocator::take_cached(std::uint64_t bytes, Allocation& out) {
  const auto found = cache_.find(bytes);
  if (found == cache_.end() || found->second.empty()) return false;
  out = found->second.back();
  found->second.pop_back();
  return true;
}

bool Allocator::take_from_blocks(std::uint64_t bytes, Allocation& out) {
  Block* best = nullptr;
  std::map<std::uint64_t, std::uint64_t>::iterator gap;
  for (const auto& block : blocks_)
    for (auto it = block->free.begin(); it != block->free.end(); ++it)
      if (it->second >= bytes && (!best || it->second < gap->second)) {
        best = block.get();
        gap = it;
      }
  if (!best) return false;
  out = {best, gap->first, bytes, best->used_until};
  const std::uint64_t rest = gap->second - bytes;
  best->free.erase(gap);
  if (rest > 0) best->free.emplace(out.offset + bytes, rest);
  return true;
}

Allocation Allocator::allocate(std::uint64_t wanted) {
  const std::uint64_t bytes = rounded(wanted);
  Allocation out;
  const auto counted = [&] {
    counts_.in_use += bytes;
    counts_.peak = std::max(counts_.peak, counts_.in_use);
    if (bytes >= (1 << 20)) held_[{out.block, out.offset}] = bytes;
    return out;
  };
  {
    const std::lock_guard lock(lock_);
    if (take_cached(bytes, out) || take_from_blocks(bytes, out)) return counted();
    if (add_block(bytes) && take_from_blocks(bytes, out)) return counted();
    // What is kept for other sizes, put together, may do.
    empty_cache();
    if (take_from_blocks(bytes, out)) return counted();
  }
  const std::uint64_t done = settle_();
  {
    const std::lock_guard lock(lock_);
    empty_cache();
    if (take_from_blocks(bytes, out)) return counted();
    drop_unused(done);
    if (add_block(bytes) && take_from_blocks(bytes, out)) return counted();
  }
  const std::lock_guard lock(lock_);
  std::vector<std::uint64_t> largest;
  for (const auto& [place, size] : held_) largest.push_back(size);
  std::sort(largest.rbegin(), largest.rend());
  std::string text = context_.info.name + " cannot hold another " + megabytes(wanted) + ": " +
                     megabytes(counts_.in_use) + " of " + megabytes(limit()) + " are in use";
  if (!largest.empty()) {
    text += "; the largest tensors take ";
    for (std::size_t i = 0; i < std::min<std::size_t>(largest.size(), 3); ++i)
      text += (i > 0 ? ", " : "") + megabytes(largest[i]);
  }
  throw Error(ErrorCode::out_of_memory, text)
      .hint("use a smaller batch, or free tensors that are no longer needed");
}

void Allocator::free(const Allocation& allocation) noexcept {
  const std::lock_guard lock(lock_);
  counts_.in_use -= allocation.bytes;
  if (allocation.bytes >= (1 << 20)) held_.erase({allocation.block, allocation.offset});
  cache_[allocation.bytes].push_back(allocation);
}

void Allocator::give_back(const Allocation& allocation) noexcept {
  auto& free = allocation.block->free;
  allocation.block->used_until = std::max(allocation.block->used_until, allocation.used_until);
  auto next = free.lower_bound(allocation.offset);
  std::uint64_t offset = allocation.offset;
  std::uint64_t bytes = allocation.bytes;
  if (next != free.end() && next->first == offset + bytes) {
    bytes += next->second;
    next = free.erase(next);
  }
  if (next != free.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      offset = before->first;
      bytes += before->second;
      free.erase(before);
    }
  }
  free.emplace(offset, bytes);
}

void Allocator::empty_cache() noexcept {
  for (auto& [bytes, list] : cache_)
    for (const Allocation& allocation : list) give_back(allocation);
  cache_.clear();
}

/// Work that was sent before, and is not done, may still use a block that no tensor is in.
void Allocator::drop_unused(std::uint64_t done) noexcept {
  std::erase_if(blocks_, [&](const std::unique_ptr<Block>& block) {
    if (block->free.size() != 1 || block->free.begin()->second != block->bytes) return false;
    if (block->used_until > done) return false;
    destroy(*block);
    return true;
  });
}

void Allocator::trim() {
  const std::uint64_t done = settle_();
  const std::lock_guard lock(lock_);
  empty_cache();
  drop_unused(done);
}

Allocator::Counts Allocator::counts() const {
  const std::lock_guard lock(lock_);
  return counts_;
}

}  // namespace troupe::vulkan
