#pragma once

#include "allocator.hpp"
#include "compiler.hpp"
#include "kernel_table.hpp"
#include "pipelines.hpp"
#include "queue.hpp"
#include "segment.hpp"
#include "trials.hpp"
#include "tuner.hpp"
#include "vulkan_buffer.hpp"

#include <troupe/vulkan/vulkan.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace troupe::vulkan {

class VulkanRecording;

/// A GPU. A launch encodes dispatches on the caller's thread and sends them to the queue's actor;
/// its outputs may be used by later launches at once, and by the host once they are done.
class VulkanDevice final : public Device {
 public:
  VulkanDevice(System& system, std::shared_ptr<Context> context);
  ~VulkanDevice() override;

  [[nodiscard]] std::string_view name() const noexcept override { return context_->info.name; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] bool reads_at_once() const noexcept override { return false; }
  [[nodiscard]] Ref<Buffer> allocate(std::size_t bytes) override;
  [[nodiscard]] Ref<Buffer> borrow(
      std::span<const std::byte> bytes, std::shared_ptr<const void> owner) override;
  [[nodiscard]] Value upload(const Meta& meta, std::span<const std::byte> bytes) override;
  void download(const Value& value, std::span<std::byte> into) override;
  [[nodiscard]] Ticket read(const Value& value, Use use) override;
  void write(const Value& to, std::span<const std::byte> bytes) override;
  [[nodiscard]] bool supports(const OpInfo& op) const noexcept override;
  [[nodiscard]] Ticket launch(const Launch& launch) override;
  [[nodiscard]] std::unique_ptr<Recording> record(std::size_t numbers) override;
  [[nodiscard]] FusionLimits fusion_limits(std::int64_t elements) const noexcept override;
  [[nodiscard]] bool can_fuse(const OpInstance& op, DType dtype) const noexcept override;
  [[nodiscard]] bool can_end_with(
      const Fused& fused, std::span<const Meta> inputs, const Meta& result) const noexcept override;
  [[nodiscard]] bool can_fold(
      const Fused& fused, std::span<const Meta> inputs, const Meta& folded) const noexcept override;
  [[nodiscard]] std::shared_ptr<const Executable> compile(
      const Fused& fused,
      std::span<const Meta> inputs,
      std::span<const Meta> outputs) const override;
  /// Makes dispatches of a launch.
  void encode(const Launch& launch, Sink& sink);
  /// The same for an op that is not fused.
  void encode(Encoder& encoder);
  [[nodiscard]] std::uint64_t launches_on_trial() const noexcept override { return on_trial_; }
  void count_on_trial() noexcept { on_trial_.fetch_add(1, std::memory_order_relaxed); }
  void stop() noexcept override;

  /// Throws `unsupported`, naming op and dtype, for a dtype that the op's kernel does not have.
  [[noreturn]] void refuse(DType dtype, std::string_view op) const;

  [[nodiscard]] const Context& context() const noexcept { return *context_; }
  /// Recordings that hold memory: asked to give it up when there is no other.
  void add(VulkanRecording& recording);
  void remove(VulkanRecording& recording) noexcept;
  [[nodiscard]] const std::shared_ptr<Context>& shared_context() const noexcept { return context_; }
  [[nodiscard]] Allocator& memory() noexcept { return *memory_; }
  [[nodiscard]] Allocator& staging() noexcept { return *staging_; }
  [[nodiscard]] Pipelines& pipelines() noexcept { return *pipelines_; }
  [[nodiscard]] Compiler& compiler() noexcept { return *compiler_; }
  [[nodiscard]] Queue& queue() noexcept { return *queue_; }
  [[nodiscard]] SegmentShaders& segment_shaders() noexcept { return segments_; }
  [[nodiscard]] SegmentShaders& epilogue_shaders() noexcept { return epilogues_; }
  [[nodiscard]] SegmentShaders& chain_shaders() noexcept { return chains_; }
  [[nodiscard]] Tuner& tuner() noexcept { return *tuner_; }
  [[nodiscard]] Trials& trials() noexcept { return *trials_; }
  [[nodiscard]] const Value& fault() const noexcept { return fault_; }
  /// Four words that device and host both see, and where the host does.
  [[nodiscard]] Value host_words();
  [[nodiscard]] static const std::byte* host_bytes(const Value& words) noexcept;
  /// A number other than 0 for an op called at a line, always the same one.
  [[nodiscard]] std::uint32_t fault_code(const OpInfo& op, Where where);
  [[nodiscard]] Statistics statistics() const;

 private:
  void write(VulkanBuffer& to, std::span<const std::byte> bytes);
  /// A value's elements in row-major order, where the host sees them once `ready` is done.
  struct HostView {
    Value rows;
    Allocation staging;  // where the device's own memory is out of sight
    std::span<const std::byte> bytes;
    std::uint64_t ready = 0;
  };
  [[nodiscard]] HostView host_view(const Value& value);
  void done_with(const HostView& view) noexcept;
  [[nodiscard]] Value in_rows(const Value& value);
  void check_fault();
  void release_recordings() noexcept;
  [[nodiscard]] std::string cache_file(std::string_view ending) const;
  static constexpr std::size_t own_ids_max = 1024;

  std::shared_ptr<Context> context_;
  std::unique_ptr<Queue> queue_;
  std::unique_ptr<Allocator> staging_;
  std::unique_ptr<Allocator> memory_;
  std::unique_ptr<Compiler> compiler_;
  std::unique_ptr<Pipelines> pipelines_;
  SegmentShaders segments_;
  SegmentShaders epilogues_;
  SegmentShaders chains_;
  std::array<EncodeFunction, own_ids_max> kernels_{};
  std::unique_ptr<Tuner> tuner_;
  std::unique_ptr<Trials> trials_;
  Value fault_;
  struct Call {
    const OpInfo* op;
    Where where;
  };
  std::mutex calls_lock_;
  std::vector<Call> calls_;  // that a shader may find a fault in: few, as lines of a program are
  std::uint64_t pipelines_saved_ = 0;
  std::mutex recordings_lock_;
  std::vector<VulkanRecording*> recordings_;
  std::atomic<std::uint64_t> on_trial_{0};
};

}  // namespace troupe::vulkan
