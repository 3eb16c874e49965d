#include "recording.hpp"

#include "vulkan_buffer.hpp"
#include "vulkan_device.hpp"

#include <cstring>
#include <string>
#include <utility>

namespace troupe::vulkan {

namespace {
constexpr std::size_t state_bytes = 16;
}  // namespace

// --- commands and memory
// ---------------------------------------------------------------------------------------

RecordedCommands::RecordedCommands(std::shared_ptr<Context> of) : context(std::move(of)) {
  VkCommandPoolCreateInfo create{};
  create.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO;
  create.queueFamilyIndex = context->queue_family;
  check(
      context->vk.vkCreateCommandPool(context->handle, &create, nullptr, &pool),
      "making a command pool");
  VkCommandBufferAllocateInfo allocate{};
  allocate.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO;
  allocate.commandPool = pool;
  allocate.level = VK_COMMAND_BUFFER_LEVEL_SECONDARY;
  allocate.commandBufferCount = 1;
  VkCommandBufferInheritanceInfo inherited{};
  inherited.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_INHERITANCE_INFO;
  VkCommandBufferBeginInfo begin{};
  begin.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO;
  begin.flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT;
  begin.pInheritanceInfo = &inherited;
  VkResult result = context->vk.vkAllocateCommandBuffers(context->handle, &allocate, &commands);
  if (result >= 0) result = context->vk.vkBeginCommandBuffer(commands, &begin);
  if (result < 0) context->vk.vkDestroyCommandPool(context->handle, pool, nullptr);
  check(result, "recording for " + context->info.name);
}

RecordedCommands::~RecordedCommands() {
  context->vk.vkDestroyCommandPool(context->handle, pool, nullptr);
}

Arena::~Arena() { release(); }

void Arena::release() noexcept {
  const std::uint64_t sent = device_.queue().sent();
  for (auto& [bytes, allocation] : free_) {
    allocation.used_until = sent;
    device_.memory().free(allocation);
  }
  free_.clear();
}

Allocation Arena::allocate(std::uint64_t bytes) {
  const auto found = free_.lower_bound(bytes);
  // A piece that wastes more than a half is better kept for what needs it.
  if (found == free_.end() || found->first > 2 * bytes + 4096)
    return device_.memory().allocate(bytes);
  const Allocation allocation = found->second;
  free_.erase(found);
  return allocation;
}

void Arena::free(const Allocation& allocation) noexcept {
  free_.emplace(allocation.bytes, allocation);
}

// --- recording
// ---------------------------------------------------------------------------------------

VulkanRecording::VulkanRecording(VulkanDevice& device, std::size_t numbers)
    : Device(device.system()),
      device_(device),
      arena_(device),
      commands_(std::make_shared<RecordedCommands>(device.shared_context())),
      recorder_(
          device.context(),
          // Not of the arena: what waits to be joined still reads memory that is free there.
          [this](std::uint64_t bytes) {
            return tables_.emplace_back(device_.memory().allocate(bytes));
          }) {
  recorder_.begin(commands_->commands);
  const auto count = static_cast<std::int64_t>(numbers);
  block_ = device.allocate(state_bytes + numbers * sizeof(double));
  const Meta state{DType::int32, {4}};
  state_ = ValueBody::make(state, block_);
  const Meta meta{DType::float64, {count}};
  const Value all = ValueBody::make(Meta{DType::float64, {count + 2}}, block_);
  numbers_ = ValueBody::view(all, meta, contiguous_strides(meta.shape), 2);
}

VulkanRecording::~VulkanRecording() {
  device_.remove(*this);
  for (Allocation& table : tables_) {
    table.used_until = device_.queue().sent();
    device_.memory().free(table);
  }
}

std::uint64_t VulkanRecording::send(const Dispatch& dispatch) {
  recorder_.record(dispatch);
  return device_.queue().sent();
}

std::uint64_t VulkanRecording::send(Transfer transfer) {
  recorder_.record(transfer);
  return device_.queue().sent();
}

void VulkanRecording::finish() {
  recorder_.end(all_stages, all_access);
  commands_->counts = recorder_.take_counts();
  ++commands_->counts.barriers;
  check(
      device_.context().vk.vkEndCommandBuffer(commands_->commands),
      "recording for " + device_.context().info.name);
  device_.add(*this);
}

bool VulkanRecording::replay(
    std::span<const double> numbers,
    std::uint64_t random_seed,
    std::uint64_t random_call,
    std::span<const Value> written) {
  Queue& queue = device_.queue();
  const std::size_t bytes = state_bytes + numbers.size_bytes();
  // Before the lock: where memory is short, this asks recordings for theirs.
  Transfer block;
  block.staging = device_.staging().allocate(bytes);
  std::byte* const to = block.staging.mapped();
  std::memcpy(to, &random_seed, 8);
  std::memcpy(to + 8, &random_call, 8);
  if (!numbers.empty()) std::memcpy(to + state_bytes, numbers.data(), numbers.size_bytes());
  block.from = Bound::of(block.staging, 0, bytes, false);
  block.to = Bound::of(static_cast<VulkanBuffer&>(*block_).allocation(), 0, bytes, true);
  const std::lock_guard lock(in_use_);
  if (released_) {
    device_.staging().free(block.staging);
    return false;
  }
  queue.send(std::move(block));
  const std::uint64_t count = queue.send(Replay{commands_});
  for (const Value& value : written)
    static_cast<VulkanBuffer&>(*value->buffer()).set_written_until(count);
  return true;
}

void VulkanRecording::release() noexcept {
  const std::unique_lock lock(in_use_, std::try_to_lock);
  if (!lock) return;
  arena_.release();
  released_ = true;
}

std::uint64_t VulkanRecording::place_of(const Value& value) const noexcept {
  const Allocation& allocation = static_cast<VulkanBuffer&>(*value->buffer()).allocation();
  return allocation.address() +
         static_cast<std::uint64_t>(value->offset()) * size_of(value->dtype());
}

// --- as a device
// ---------------------------------------------------------------------------------------

std::string_view VulkanRecording::name() const noexcept { return device_.name(); }
std::string VulkanRecording::description() const { return device_.description(); }
bool VulkanRecording::supports(const OpInfo& op) const noexcept { return device_.supports(op); }

Ref<Buffer> VulkanRecording::allocate(std::size_t bytes) {
  return VulkanBuffer::make(device_, *this, bytes);
}

Ticket VulkanRecording::launch(const Launch& launch) {
  device_.encode(launch, *this);
  return nullptr;
}

void VulkanRecording::refuse() const {
  throw Error(ErrorCode::unsupported, "a recording has no elements to read or write");
}
Ref<Buffer> VulkanRecording::borrow(std::span<const std::byte>, std::shared_ptr<const void>) {
  refuse();
}
Value VulkanRecording::upload(const Meta&, std::span<const std::byte>) { refuse(); }
void VulkanRecording::download(const Value&, std::span<std::byte>) { refuse(); }
Ticket VulkanRecording::read(const Value&, Use) { refuse(); }
void VulkanRecording::write(const Value&, std::span<const std::byte>) { refuse(); }

}  // namespace troupe::vulkan
