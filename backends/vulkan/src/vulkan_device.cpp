#include "vulkan_device.hpp"

#include "expressions.hpp"
#include "fused.hpp"
#include "prologue.hpp"
#include "recording.hpp"

#include <troupe/tensor/fused_update.hpp>
#include <troupe/tensor/ops/copy.hpp>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace troupe::vulkan {

// --- buffers
// ---------------------------------------------------------------------------------------

VulkanBuffer::VulkanBuffer(
    VulkanDevice& device, Memory& memory, std::size_t bytes, const Allocation& allocation) noexcept
    : Buffer(device, bytes), memory_(&memory), allocation_(allocation) {}

Ref<Buffer> VulkanBuffer::make(
    VulkanDevice& device, Sink& sink, Memory& memory, std::size_t bytes) {
  const Allocation allocation = memory.allocate(bytes);
  if (device.context().options.poison_memory) {
    Transfer poison;
    poison.to = Bound::of(allocation, 0, allocation.bytes, true);
    poison.word = 0x7fc0'7fc0;  // NaN as float32 and as both 16-bit floats
    sink.send(poison);
  }
  void* block = device.system().allocate(sizeof(VulkanBuffer));
  return Ref<Buffer>::adopt(new (block) VulkanBuffer(device, memory, bytes, allocation));
}

void VulkanBuffer::destroy() noexcept {
  auto& device = static_cast<VulkanDevice&>(this->device());
  allocation_.used_until = device.queue().sent();
  memory_->free(allocation_);
  this->~VulkanBuffer();
  device.system().deallocate(this, sizeof(VulkanBuffer));
}

// --- the device
// ---------------------------------------------------------------------------------------

namespace {
Tuning tuning_for(const Context& context) {
  const Tuning asked = context.options.tuning;
  if (!Trials::measurable(context)) return Tuning::off;
  if (asked != Tuning::automatic) return asked;
  return context.info.software ? Tuning::off : Tuning::deterministic;
}
}  // namespace

VulkanDevice::VulkanDevice(System& system, std::shared_ptr<Context> context)
    : Device(system), context_(std::move(context)) {
  queue_ = std::make_unique<Queue>(system, context_);
  const auto settle = [this] {
    release_recordings();
    return queue_->settle();
  };
  staging_ = std::make_unique<Allocator>(*context_, Purpose::staging, settle);
  memory_ = std::make_unique<Allocator>(*context_, Purpose::device, settle);
  queue_->set_memory(*memory_, *staging_);
  compiler_ = std::make_unique<Compiler>(*context_, system.disk());
  std::vector<std::byte> saved;
  if (const std::string path = cache_file(".pipelines");
      !path.empty() && system.disk().exists(path))
    if (auto bytes = system.disk().read_all(path, std::uint64_t{256} << 20))
      saved = std::move(bytes.value());
  pipelines_ = std::make_unique<Pipelines>(*context_, saved);
  add_kernels(kernels_);
  const Tuning tuning = tuning_for(*context_);
  tuner_ = std::make_unique<Tuner>(
      tuning,
      system.disk(),
      cache_file(tuning == Tuning::free ? ".free-tiles" : ".tiles"),
      context_->profile,
      context_->options.descriptors);
  trials_ = std::make_unique<Trials>(*this, *tuner_);
  fault_ = host_words();
}

Value VulkanDevice::host_words() {
  const Meta words{DType::int32, {4}};
  // Where the host sees it on every device.
  Ref<Buffer> buffer = VulkanBuffer::make(*this, *queue_, *staging_, words.bytes());
  const std::byte zeros[16] = {};
  write(static_cast<VulkanBuffer&>(*buffer), zeros);
  return ValueBody::make(words, std::move(buffer));
}

const std::byte* VulkanDevice::host_bytes(const Value& words) noexcept {
  return static_cast<const VulkanBuffer&>(*words->buffer()).allocation().mapped();
}

VulkanDevice::~VulkanDevice() {
  stop();
  // What an actor submitted after the queue's thread had ended: memory and pools go next.
  context_->vk.vkDeviceWaitIdle(context_->handle);
  fault_.reset();
  trials_.reset();
}

void VulkanDevice::stop() noexcept {
  queue_->stop();
  tuner_->save();
  const std::string path = cache_file(".pipelines");
  if (path.empty() || pipelines_->count() == pipelines_saved_) return;
  pipelines_saved_ = pipelines_->count();
  Disk& disk = system().disk();
  // A cache that cannot be written costs time, not more.
  if (disk.make_folders(context_->options.cache_folder))
    (void)disk.replace(path, pipelines_->saved());
}

std::string VulkanDevice::cache_file(std::string_view ending) const {
  if (context_->options.cache_folder.empty()) return {};
  std::string file;
  for (const char c : context_->profile)
    file += (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ? c : '-';
  return context_->options.cache_folder + "/" + file +
         (context_->options.descriptors ? "-descriptors" : "") + std::string(ending);
}

std::string VulkanDevice::description() const {
  return context_->info.model + ", " + context_->info.driver;
}

Ref<Buffer> VulkanDevice::allocate(std::size_t bytes) {
  return VulkanBuffer::make(*this, *queue_, bytes);
}

Ref<Buffer> VulkanDevice::borrow(
    std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  // The device cannot see the caller's memory: a copy, and the owner may go.
  Ref<Buffer> buffer = allocate(bytes.size());
  write(static_cast<VulkanBuffer&>(*buffer), bytes);
  owner.reset();
  return buffer;
}

Value VulkanDevice::upload(const Meta& meta, std::span<const std::byte> bytes) {
  Ref<Buffer> buffer = allocate(bytes.size());
  write(static_cast<VulkanBuffer&>(*buffer), bytes);
  return ValueBody::make(meta, std::move(buffer));
}

void VulkanDevice::write(VulkanBuffer& buffer, std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  const Allocation& to = buffer.allocation();
  // In place, if the host sees the memory and nothing on the way to the device uses it any more.
  if (to.mapped() && to.used_until <= queue_->done() && !context_->options.poison_memory) {
    std::memcpy(to.mapped(), bytes.data(), bytes.size());
    return;
  }
  Transfer copy;
  copy.staging = staging_->allocate(bytes.size());
  std::memcpy(copy.staging.mapped(), bytes.data(), bytes.size());
  copy.from = Bound::of(copy.staging, 0, bytes.size(), false);
  copy.to = Bound::of(to, 0, bytes.size(), true);
  buffer.set_written_until(queue_->send(copy));
}

Value VulkanDevice::in_rows(const Value& value) {
  if (value->contiguous()) return value;
  const OpRef op = make_op(Copy{});
  Value rows = ValueBody::make(value->shared_meta(), allocate(value->meta().bytes()));
  (void)launch(Launch{op.get(), {&value, 1}, {&rows, 1}, 0, 0});
  return rows;
}

VulkanDevice::HostView VulkanDevice::host_view(const Value& value) {
  HostView view;
  view.rows = in_rows(value);
  const auto& buffer = static_cast<const VulkanBuffer&>(*view.rows->buffer());
  const Allocation& from = buffer.allocation();
  const std::size_t bytes = value->meta().bytes();
  const std::uint64_t first =
      static_cast<std::uint64_t>(view.rows->offset()) * size_of(value->dtype());
  if (from.mapped()) {
    view.bytes = {from.mapped() + first, bytes};
    view.ready = buffer.written_until();
    return view;
  }
  view.staging = staging_->allocate(bytes);
  Transfer copy;
  copy.from = Bound::of(from, first, bytes, false);
  copy.to = Bound::of(view.staging, 0, bytes, true);
  view.ready = queue_->send(copy);
  view.bytes = {view.staging.mapped(), bytes};
  return view;
}

void VulkanDevice::done_with(const HostView& view) noexcept {
  if (view.staging.block) staging_->free(view.staging);
}

void VulkanDevice::download(const Value& value, std::span<std::byte> into) {
  if (into.empty()) return;
  if (system().inside_actor())
    throw Error(ErrorCode::inside_actor, "the device's memory was read in an actor's turn")
        .hint("to(tensor, \"cpu\") sends it on without waiting; or read it outside of actors");
  const HostView view = host_view(value);
  queue_->wait(view.ready);
  check_fault();
  std::memcpy(into.data(), view.bytes.data(), into.size());
  done_with(view);
}

Ticket VulkanDevice::read(const Value& value, Use use) {
  if (value->meta().elements() == 0) {
    use({});
    return nullptr;
  }
  const HostView view = host_view(value);
  return queue_->fence([this, view, use = std::move(use)] {
    use(view.bytes);
    done_with(view);
  });
}

void VulkanDevice::write(const Value& to, std::span<const std::byte> bytes) {
  write(static_cast<VulkanBuffer&>(*to->buffer()), bytes);
}

std::uint32_t VulkanDevice::fault_code(const OpInfo& op, Where where) {
  const std::lock_guard lock(calls_lock_);
  auto call = std::find_if(calls_.begin(), calls_.end(), [&](const Call& known) {
    return known.op == &op && known.where.file == where.file && known.where.line == where.line;
  });
  if (call == calls_.end()) call = calls_.insert(call, {&op, where});
  return static_cast<std::uint32_t>(call - calls_.begin()) + 1;
}

void VulkanDevice::check_fault() {
  const Allocation& word = static_cast<const VulkanBuffer&>(*fault_->buffer()).allocation();
  std::uint32_t code = 0;
  std::memcpy(&code, word.mapped(), sizeof code);
  if (code == 0) return;
  std::memset(word.mapped(), 0, sizeof code);
  const std::lock_guard lock(calls_lock_);
  const Call& call = calls_[code - 1];
  throw Error(ErrorCode::invalid_argument, "an index is out of range")
      .op(call.op->name)
      .at(call.where.file, call.where.line)
      .hint("they go from 0 to the size of the axis less 1; on \"cpu\" the call itself says which");
}

bool VulkanDevice::supports(const OpInfo& op) const noexcept {
  if (op.family == OpFamily::view || op.family == OpFamily::transfer ||
      op.family == OpFamily::exchange)
    return true;
  const auto id = static_cast<std::size_t>(op.id);
  return id < own_ids_max && kernels_[id] != nullptr;
}

Ticket VulkanDevice::launch(const Launch& launch) {
  encode(launch, *queue_);
  return nullptr;
}

std::unique_ptr<Recording> VulkanDevice::record(std::size_t numbers) {
  return std::make_unique<VulkanRecording>(*this, numbers);
}

void VulkanDevice::add(VulkanRecording& recording) {
  const std::lock_guard lock(recordings_lock_);
  recordings_.push_back(&recording);
}

void VulkanDevice::remove(VulkanRecording& recording) noexcept {
  const std::lock_guard lock(recordings_lock_);
  std::erase(recordings_, &recording);
}

void VulkanDevice::release_recordings() noexcept {
  const std::lock_guard lock(recordings_lock_);
  for (VulkanRecording* recording : recordings_) recording->release();
}

FusionLimits VulkanDevice::fusion_limits(std::int64_t) const noexcept {
  // What steps give each other lies in registers, of which there are some hundreds on most devices;
  // a longer shader takes longer to compile than a few more dispatches take.
  return {.operands_max = bindings_max, .steps_max = 64, .values_max = 32};
}

bool VulkanDevice::can_fuse(const OpInstance& op, DType dtype) const noexcept {
  return supports(op.info()) && expression_of(op, dtype).there;
}

bool VulkanDevice::can_end_with(
    const Fused& fused, std::span<const Meta> inputs, const Meta& result) const noexcept {
  // Shaders find a segment's operands by the place of the product's element.
  return !fused.reshapes_head && has_room_for(fused, inputs, result);
}

bool VulkanDevice::can_fold(
    const Fused& fused, std::span<const Meta> inputs, const Meta& folded) const noexcept {
  if (fused.fold->info().donates >= 0) return Prologue::fits(fused, inputs, folded);
  const bool software = context_->info.software && !context_->options.gpu_kernels;
  return has_room_for_chain(fused, inputs, folded, software);
}

std::shared_ptr<const Executable> VulkanDevice::compile(
    const Fused& fused, std::span<const Meta> inputs, std::span<const Meta>) const {
  // What an update will run must not fail then; all else is compiled when it is launched.
  if (!fused.fold || fused.fold->info().donates < 0) return nullptr;
  return std::make_shared<const Prologue>(*this, *compiler_, fused, inputs);
}

void VulkanDevice::refuse(DType dtype, std::string_view op) const {
  throw Error(
      ErrorCode::unsupported,
      context_->info.name + " has no kernel for " + std::string(name_of(dtype)))
      .op(op)
      .hint("cast(x, DType::float32) first, or run it on the device \"cpu\"");
}

void VulkanDevice::encode(const Launch& launch, Sink& sink) {
  if (launch.op->info().family == OpFamily::fused) return encode_fused(*this, launch, sink);
  if (launch.op->info().id == FusedUpdate::id) return encode_update(*this, launch, sink);
  Encoder encoder(*this, launch, sink);
  encode(encoder);
}

void VulkanDevice::encode(Encoder& encoder) {
  const OpInfo& op = encoder.launch().op->info();
  if (!supports(op))
    throw Error(ErrorCode::unsupported, context_->info.name + " has no kernel for this op")
        .op(op.name)
        .hint("run it on the device \"cpu\"");
  kernels_[static_cast<std::size_t>(op.id)](encoder);
}

Statistics VulkanDevice::statistics() const {
  Statistics out;
  const Queue::Counts& counts = queue_->counts;
  out.dispatches = counts.dispatches;
  out.barriers = counts.barriers;
  out.submissions = counts.submissions;
  out.host_waits = counts.host_waits;
  out.replays = counts.replays;
  out.pipelines = pipelines_->count();
  out.shaders_compiled = compiler_->compiled();
  out.validation_messages = context_->instance->validation_messages();
  const Tuner::Counts& tuning = tuner_->counts;
  out.tile_trials = tuning.trials;
  out.tile_rejections = tuning.rejected;
  out.tiles_tuned = tuning.decided;
  out.tiles_recalled = tuning.recalled;
  const Allocator::Counts memory = memory_->counts();
  out.in_use_bytes = memory.in_use;
  out.peak_bytes = memory.peak;
  out.reserved_bytes = memory.reserved;
  return out;
}

// --- what users call
// ---------------------------------------------------------------------------------------

namespace {
const VulkanDevice& vulkan_device(const Device& device) {
  if (const auto* vulkan = dynamic_cast<const VulkanDevice*>(&device)) return *vulkan;
  throw Error(
      ErrorCode::device_mismatch, "\"" + std::string(device.name()) + "\" is no Vulkan device");
}
}  // namespace

Device& attach(System& system, unsigned index, const Options& options) {
  auto instance = std::make_unique<Instance>(
      options.validation, [&system](std::string_view line) { system.log(LogLevel::error, line); });
  auto context = std::make_shared<Context>(std::move(instance), index, options);
  auto device = std::make_unique<VulkanDevice>(system, std::move(context));
  Device& attached = *device;
  Devices::of(system).add(std::move(device));
  return attached;
}

Tuning tuning_named(std::string_view name) {
  if (name.empty() || name == "automatic") return Tuning::automatic;
  if (name == "off") return Tuning::off;
  if (name == "deterministic") return Tuning::deterministic;
  if (name == "free") return Tuning::free;
  throw Error(
      ErrorCode::invalid_argument,
      "\"" + std::string(name) + "\" is no way to tune a GPU's kernels")
      .hint("there are: automatic, off, deterministic, free");
}

Statistics statistics(const Device& device) { return vulkan_device(device).statistics(); }
DeviceInfo info(const Device& device) { return vulkan_device(device).context().info; }

}  // namespace troupe::vulkan
