#pragma once

#include <troupe/core/system.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/value.hpp>
#include <troupe/tensor/where.hpp>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe {

/// One execution of one op: what a device is asked to do. The spans live until launch() returns.
struct Launch {
  const OpInstance* op = nullptr;
  std::span<const Value> inputs;
  std::span<const Value> outputs;  ///< allocated by the caller on the same device, contiguous
  std::uint64_t random_seed =
      0;  ///< for random ops: what a `RandomState` held when the call was made
  std::uint64_t random_call = 0;
  Where where{};  ///< of the call, for what only the device finds out, later
};

class Device;
class Executable;
struct Fused;

/// What a device takes as one fused op.
struct FusionLimits {
  std::size_t operands_max = 0;  ///< inputs and outputs together; 0: it fuses nothing
  std::size_t steps_max = 0;     ///< of a segment
  std::size_t values_max = 0;    ///< results that are kept at once for later steps
};

/// Launches that a device keeps, to run them again as a whole: the same ops on the same memory.
/// What may differ from one replay to the next are the elements of what they read, the numbers, and
/// what random ops draw.
///
/// Threads   one at a time.
class Recording {
 public:
  virtual ~Recording() = default;

  /// Where to allocate and to launch: what is launched here is kept, and not run; what is allocated
  /// is used again in it when its values are gone, and kept for it.
  [[nodiscard]] virtual Device& device() noexcept = 0;
  /// float64 [numbers], which each replay brings along.
  [[nodiscard]] virtual const Value& numbers() const noexcept = 0;
  /// Nothing is added any more.
  virtual void finish() = 0;

  /// Runs what was recorded, after whatever the device was given before. False, and nothing is run,
  /// once its memory was needed elsewhere.
  ///
  /// @param numbers       as many as were asked for
  /// @param random_call   the number from which those of the recorded launches count
  /// @param written       values from outside of the recording that it writes
  [[nodiscard]] virtual bool replay(
      std::span<const double> numbers,
      std::uint64_t random_seed,
      std::uint64_t random_call,
      std::span<const Value> written) = 0;
  /// Where a value of this device lies: as long as that is the same, a recording that reads or
  /// writes it fits.
  [[nodiscard]] virtual std::uint64_t place_of(const Value& value) const noexcept = 0;
};

/// A place where tensors live and ops run. A narrow interface: ops are data to it, so that adding
/// an op never widens it.
///
/// Threads   any; a launch returns at once with a ticket, and nothing waits.
class Device {
 public:
  explicit Device(System& system) noexcept : system_(&system) {}
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] System& system() const noexcept { return *system_; }

  /// "cpu", "vulkan:0"
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  /// For people: model, instruction set, memory.
  [[nodiscard]] virtual std::string description() const = 0;

  /// Whether values lie in the host's own memory and are read at once, in actors' turns too.
  [[nodiscard]] virtual bool reads_at_once() const noexcept = 0;

  /// Uninitialized memory. Throws `out_of_memory`, naming the size and the largest holders.
  [[nodiscard]] virtual Ref<Buffer> allocate(std::size_t bytes) = 0;
  /// Memory of the caller's, read in place; `owner` is dropped when the last value is gone.
  [[nodiscard]] virtual Ref<Buffer> borrow(
      std::span<const std::byte> bytes, std::shared_ptr<const void> owner) = 0;
  /// Copies host bytes into a new contiguous value.
  [[nodiscard]] virtual Value upload(const Meta& meta, std::span<const std::byte> bytes) = 0;
  /// Copies a value's elements, in row-major order, to the host. Waits for what the device has yet
  /// to do for it; throws `inside_actor` where that would be in an actor's turn.
  virtual void download(const Value& value, std::span<std::byte> into) = 0;

  using Use = std::function<void(std::span<const std::byte> bytes)>;
  /// Calls `use` with a value's elements in row-major order once they are there: at once, and null
  /// is returned; or later, from any thread, before the ticket is complete. A ticket that fails has
  /// not called it.
  [[nodiscard]] virtual Ticket read(const Value& value, Use use) = 0;
  /// Fills a contiguous value of this device that nobody else has seen yet. Any thread.
  virtual void write(const Value& to, std::span<const std::byte> bytes) = 0;

  /// Whether this device has a kernel for the op.
  [[nodiscard]] virtual bool supports(const OpInfo& op) const noexcept = 0;
  /// Runs an op; null when it was complete at once. Throws `unsupported` for what it lacks.
  [[nodiscard]] virtual Ticket launch(const Launch& launch) = 0;

  /// What this device can fuse into a launch over so many elements.
  [[nodiscard]] virtual FusionLimits fusion_limits(std::int64_t elements) const noexcept;
  /// Whether an op of a segment's kind that computes in `dtype` can be a step of a segment here.
  [[nodiscard]] virtual bool can_fuse(const OpInstance& op, DType dtype) const noexcept;
  /// Whether an op can be the head of a fused op with this segment and these operands.
  ///
  /// @param inputs  the head's, then the segment's less the head's result
  [[nodiscard]] virtual bool can_end_with(
      const Fused& fused, std::span<const Meta> inputs, const Meta& result) const noexcept;
  /// Whether a fused op can end with its fold here, or with the update that is there instead.
  ///
  /// @param folded  what it folds; the update's gradient
  [[nodiscard]] virtual bool can_fold(
      const Fused& fused, std::span<const Meta> inputs, const Meta& folded) const noexcept;
  /// Whether a convolution can go on with a max pooling of its result here, as a `Pooled`.
  [[nodiscard]] virtual bool can_pool(
      const OpInstance& product,
      std::span<const Meta> operands,
      const Meta& result,
      const OpInstance& pooling) const;
  /// Whether a convolution, or one that pools, is best made and read with channels last here:
  /// `op` says otherwise, and would be launched with its `channels_last` set.
  [[nodiscard]] virtual bool prefers_channels_last(
      const OpInstance& op, std::span<const Meta> operands, const Meta& result) const;
  /// What `launch` will want to have found out about a fused op; null for nothing. Throws
  /// `unsupported` for one that the questions above would not let pass.
  [[nodiscard]] virtual std::shared_ptr<const Executable> compile(
      const Fused& fused, std::span<const Meta> inputs, std::span<const Meta> outputs) const;

  /// The bytes that operand 1 of a product takes once a `Pack` has laid it out as the kernel for
  /// such operands reads it, so that launches need not; 0: nothing is gained by that.
  [[nodiscard]] virtual std::size_t packed_bytes(
      const OpInstance& product, std::span<const Meta> operands, const Meta& result) const;

  /// Begins a recording, of whose launches `Launch::random_call` counts from 0; null where a device
  /// runs ops from the host anyway.
  ///
  /// @param numbers  how many numbers each replay brings along
  [[nodiscard]] virtual std::unique_ptr<Recording> record(std::size_t numbers);

  /// How many launches so far may be done another way when they come again, for the device is still
  /// finding out which way is best: not the time to record them.
  [[nodiscard]] virtual std::uint64_t launches_on_trial() const noexcept { return 0; }

  /// Ends what the device does by itself: the system stops.
  virtual void stop() noexcept {}

 private:
  System* system_;
};

/// The devices attached to a system; the first is the default.
class Devices final : public Service {
 public:
  /// The system's devices, attached at the first call.
  static Devices& of(System& system);
  void add(std::unique_ptr<Device> device) { devices_.push_back(std::move(device)); }
  void stop() noexcept override {
    for (const auto& device : devices_) device->stop();
  }
  [[nodiscard]] std::span<const std::unique_ptr<Device>> all() const noexcept { return devices_; }
  /// By name; throws `device_mismatch` listing the names there are.
  [[nodiscard]] Device& get(std::string_view name) const;
  [[nodiscard]] Device& first() const;

 private:
  std::vector<std::unique_ptr<Device>> devices_;
};

}  // namespace troupe
