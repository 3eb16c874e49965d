#include "encoder.hpp"

#include "copy.hpp"
#include "vulkan_buffer.hpp"
#include "vulkan_device.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace troupe::vulkan {

namespace {

/// Bytes before a value's element `place`, in its buffer.
std::uint64_t bytes_before(const ValueBody& value, std::int64_t place = 0) noexcept {
  return static_cast<std::uint64_t>(value.offset() + place) * size_of(value.dtype());
}
VulkanBuffer& buffer_of(const ValueBody& value) noexcept {
  return static_cast<VulkanBuffer&>(*value.buffer());
}
const Allocation& allocation_of(const ValueBody& value) noexcept {
  return buffer_of(value).allocation();
}

/// Shaders count elements with 32 bits, of which SPIR-V takes the first for a sign.
constexpr std::uint64_t elements_max = std::uint64_t{1} << 31;

void check_countable(const Launch& launch, const Meta& meta, std::uint64_t elements) {
  if (elements <= elements_max) return;
  throw Error(
      ErrorCode::unsupported,
      to_string(meta) + " reaches over " + std::to_string(elements) + " elements; kernels count " +
          std::to_string(elements_max))
      .op(launch.op->info().name)
      .hint("split the tensor along an axis");
}

}  // namespace

std::uint64_t reach(const ValueBody& value) noexcept {
  std::int64_t last = 0;
  if (value.contiguous()) {
    last = value.meta().elements() - 1;
  } else {
    for (std::size_t i = 0; i < value.shape().size(); ++i)
      last += (value.shape()[i] - 1) * value.strides()[i];
  }
  return static_cast<std::uint64_t>(last + 1) * size_of(value.dtype());
}

Encoder::Encoder(
    VulkanDevice& device,
    const Launch& launch,
    Sink& sink,
    const Epilogue* epilogue,
    const FoldedChain* chain,
    const Prologue* prologue)
    : device_(device),
      launch_(launch),
      sink_(sink),
      epilogue_(epilogue),
      chain_(chain),
      prologue_(prologue) {
  // Before any size becomes a number of 32 bits.
  for (const std::span<const Value> values : {launch.inputs, launch.outputs})
    for (const Value& value : values) {
      // A view may have more elements than it reaches over, or fewer.
      const auto own = static_cast<std::uint64_t>(value->meta().elements());
      check_countable(
          launch, value->meta(), std::max(own, reach(*value) / size_of(value->dtype())));
    }
}

Value Encoder::contiguous(const Value& value) {
  if (value->contiguous()) return value;
  Value copy = scratch(value->dtype(), value->shape());
  encode_copy(*this, value, copy);
  return copy;
}

Value Encoder::scratch(DType dtype, const Shape& shape) {
  const Meta meta{dtype, shape};
  check_countable(launch_, meta, static_cast<std::uint64_t>(meta.elements()));
  return ValueBody::make(meta, VulkanBuffer::make(device_, sink_, meta.bytes()));
}

void Encoder::copy_bytes(
    const Value& from,
    std::int64_t from_place,
    const Value& to,
    std::int64_t to_place,
    std::int64_t count) {
  const auto range = [&](const Value& value, std::int64_t place, bool written) {
    const std::uint64_t bytes = static_cast<std::uint64_t>(count) * size_of(value->dtype());
    return Bound::of(allocation_of(*value), bytes_before(*value, place), bytes, written);
  };
  Transfer copy;
  copy.from = range(from, from_place, false);
  copy.to = range(to, to_place, true);
  buffer_of(*to).set_written_until(sink_.send(copy));
}

void Encoder::fill_zero(const Value& value) {
  if (value->meta().elements() == 0) return;
  Transfer fill;
  fill.to = Bound::of(allocation_of(*value), bytes_before(*value), value->meta().bytes(), true);
  buffer_of(*value).set_written_until(sink_.send(fill));
}

void Encoder::dispatch(
    const Shader& shader,
    std::span<const std::uint32_t> constants,
    std::span<const Operand> operands,
    std::span<const std::byte> params,
    Grid grid,
    std::uint32_t joined_groups) {
  const Context& context = device_.context();
  const bool descriptors = context.options.descriptors;
  Dispatch dispatch;
  dispatch.pipeline = &device_.pipelines().get(shader, constants);
  dispatch.groups[0] = grid.x;
  dispatch.groups[1] = grid.y;
  dispatch.groups[2] = grid.z;
  if (!descriptors) dispatch.joined_groups = joined_groups;
  const std::size_t hidden = operands.size() * (descriptors ? 4 : 8);
  if (operands.size() != shader.bindings || operands.size() > bindings_max ||
      hidden + params.size() > (dispatch.joined_groups > 0 ? joined_bytes_max : push_bytes_max))
    throw Error(
        ErrorCode::internal,
        "the shader " + std::string(shader.name) +
            " was given what it does "
            "not take");
  auto* push = reinterpret_cast<std::byte*>(dispatch.push);
  for (std::size_t i = 0; i < operands.size(); ++i) {
    const ValueBody& value = *operands[i].value;
    const Allocation& allocation = allocation_of(value);
    const std::uint32_t unit = operands[i].unit ? operands[i].unit : size_of(value.dtype());
    const std::uint64_t bytes = reach(value);
    check_countable(launch_, value.meta(), bytes / unit);
    // A shader may look at whole words, and bind a tensor without elements.
    const std::uint64_t before = bytes_before(value);
    const std::uint64_t whole = std::max<std::uint64_t>((bytes + 15) / 16 * 16, 16);
    Bound& bound = dispatch.bound[i];
    bound = Bound::of(
        allocation, before, std::min(whole, allocation.bytes - before), operands[i].written);
    if (descriptors) {
      const std::uint64_t alignment =
          std::max<std::uint64_t>(context.limits.minStorageBufferOffsetAlignment, 1);
      const std::uint64_t begin = bound.begin / alignment * alignment;
      if (bound.end - begin > context.limits.maxStorageBufferRange)
        throw Error(
            ErrorCode::unsupported,
            to_string(value.meta()) + " is larger than a buffer that " + context.info.name +
                " binds by descriptor, " + std::to_string(context.limits.maxStorageBufferRange) +
                " bytes")
            .hint("leave Options::descriptors off: buffer addresses have no such limit");
      const auto first = static_cast<std::uint32_t>((bound.begin - begin) / unit);
      std::memcpy(push + 4 * i, &first, 4);
      bound.begin = begin;  // what the layers take for read or written
    } else {
      const std::uint64_t address = bound.block->address + bound.begin;
      std::memcpy(push + 8 * i, &address, 8);
    }
  }
  std::memcpy(push + hidden, params.data(), params.size());
  dispatch.bound_count = static_cast<std::uint8_t>(operands.size());
  dispatch.push_bytes = static_cast<std::uint8_t>(hidden + params.size());
  const std::uint64_t count = sink_.send(dispatch);
  for (const Operand& operand : operands)
    if (operand.written) buffer_of(*operand.value).set_written_until(count);
}

bool Encoder::recording() const noexcept { return &sink_ != &device_.queue(); }

bool Encoder::software() const noexcept {
  const Context& context = device_.context();
  return context.info.software && !context.options.gpu_kernels;
}

std::uint32_t Encoder::plain_group() const noexcept { return software() ? 64 : 128; }

Spread Encoder::spread(std::uint64_t elements, std::uint32_t turns) const {
  Spread result;
  result.group = plain_group();
  result.turns = turns;
  if (software()) {
    // Two lengths, for each is a pipeline of its own: few elements are to reach all threads.
    constexpr std::uint32_t turns_short = 4, turns_long = 64;
    constexpr std::uint64_t stretches_min = 16;
    result.group = std::max(device_.context().info.subgroup_size, 1u);
    const bool many = elements >= stretches_min * turns_long * result.group;
    result.turns = many ? turns_long : turns_short;
  }
  const std::uint64_t invocations = ceil_div(elements, result.turns);
  result.grid = grid_for(invocations, result.group);
  result.groups = static_cast<std::uint32_t>(ceil_div(invocations, result.group));
  return result;
}

std::uint32_t Encoder::fold_group(std::uint64_t length) const noexcept {
  return fold_group_for(
      software() ? 1 : length, device_.context().info.subgroup_size, workgroup_limits());
}

WorkgroupLimits Encoder::workgroup_limits() const noexcept {
  const VkPhysicalDeviceLimits& limits = device_.context().limits;
  return {
      std::min(limits.maxComputeWorkGroupInvocations, limits.maxComputeWorkGroupSize[0]),
      limits.maxComputeSharedMemorySize};
}

void Encoder::refuse(DType dtype) const { device_.refuse(dtype, launch_.op->info().name); }

Operand Encoder::fault() const { return unwritten(device_.fault(), 4); }

Operand Encoder::unwritten(const Value& value, std::uint32_t unit) const {
  return {value.get(), device_.context().options.descriptors, unit};
}

std::uint32_t Encoder::fault_code() const {
  return device_.fault_code(launch_.op->info(), launch_.where);
}

}  // namespace troupe::vulkan
