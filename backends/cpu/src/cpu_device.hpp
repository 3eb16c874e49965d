#pragma once

#include "kernel_table.hpp"
#include "memory.hpp"

#include <troupe/cpu/cpu.hpp>

#include <array>
#include <atomic>
#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace troupe {
struct Pack;
}

namespace troupe::cpu {

/// The processor. What is small runs at once in the caller's turn; the rest is cut into chunks for
/// the scheduler's workers.
class CpuDevice final : public Device {
 public:
  CpuDevice(System& system, const Options& options);

  [[nodiscard]] std::string_view name() const noexcept override { return "cpu"; }
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] bool reads_at_once() const noexcept override { return true; }
  [[nodiscard]] Ref<Buffer> allocate(std::size_t bytes) override;
  [[nodiscard]] Ref<Buffer> borrow(
      std::span<const std::byte> bytes, std::shared_ptr<const void> owner) override;
  [[nodiscard]] Value upload(const Meta& meta, std::span<const std::byte> bytes) override;
  void download(const Value& value, std::span<std::byte> into) override;
  [[nodiscard]] Ticket read(const Value& value, Use use) override;
  void write(const Value& to, std::span<const std::byte> bytes) override;
  [[nodiscard]] bool supports(const OpInfo& op) const noexcept override;
  [[nodiscard]] Ticket launch(const Launch& launch) override;
  [[nodiscard]] FusionLimits fusion_limits(std::int64_t elements) const noexcept override;
  [[nodiscard]] bool can_fuse(const OpInstance& op, DType dtype) const noexcept override;
  [[nodiscard]] bool can_end_with(
      const Fused& fused, std::span<const Meta> inputs, const Meta& result) const noexcept override;
  [[nodiscard]] bool can_fold(
      const Fused& fused, std::span<const Meta> inputs, const Meta& folded) const noexcept override;
  [[nodiscard]] bool prefers_channels_last(
      const OpInstance& op, std::span<const Meta> operands, const Meta& result) const override;
  [[nodiscard]] bool can_pool(
      const OpInstance& product,
      std::span<const Meta> operands,
      const Meta& result,
      const OpInstance& pooling) const override;
  [[nodiscard]] std::shared_ptr<const Executable> compile(
      const Fused& fused,
      std::span<const Meta> inputs,
      std::span<const Meta> outputs) const override;
  [[nodiscard]] std::size_t packed_bytes(
      const OpInstance& product, std::span<const Meta> operands, const Meta& result) const override;

  [[nodiscard]] std::string_view instruction_set() const noexcept { return instruction_set_; }
  [[nodiscard]] const LimitLoops& limit_loops() const noexcept { return table_.limit_loops; }
  [[nodiscard]] Memory& memory() noexcept { return memory_; }
  [[nodiscard]] const Memory& memory() const noexcept { return memory_; }
  void add_kernel(const OpInfo& op, HostKernel kernel);
  void set_float32_precision(Precision precision) noexcept { precision_ = precision; }
  [[nodiscard]] Precision float32_precision() const noexcept { return precision_; }

 private:
  class KernelWork;
  static constexpr std::size_t own_ids_max = 1024;

  [[nodiscard]] std::size_t index_of(OpId id) const noexcept {
    const auto number = static_cast<std::uint32_t>(id);
    return number < own_ids_max ? index_by_id_[number] : none;
  }
  [[nodiscard]] Expression expression_of(const OpInstance& op, DType dtype) const noexcept;
  /// Launches an op; `inputs` are all that it computes from, `packed` operand 1 laid out, or null.
  [[nodiscard]] Ticket launch_with(
      const Launch& launch, std::span<const Value> inputs, const std::byte* packed);
  [[nodiscard]] Ticket launch_fused(
      const Launch& launch, std::span<const Value> inputs, const std::byte* packed);
  [[nodiscard]] Ticket launch_pooled(
      const Launch& launch, std::span<const Value> inputs, const std::byte* packed);
  [[nodiscard]] Ticket launch_update(const Launch& launch);
  [[nodiscard]] Ticket launch_pack(const Launch& launch);
  void plan_pack(const Pack& pack, const View& weights, KernelCall& call, Plan& plan) const;
  [[nodiscard]] Ticket run(const Launch& launch, const KernelCall& call, const Plan& plan);
  void plan(std::size_t index, const OpInfo& op, const KernelCall& call, Plan& plan) const;
  void run_now(const KernelCall& call, const Plan& plan);
  void run_host_kernel(const Launch& launch);

  static constexpr std::uint16_t none = 0xffff;
  std::string_view instruction_set_;
  KernelTable table_;
  std::array<std::uint16_t, own_ids_max> index_by_id_;
  std::unordered_map<std::uint32_t, HostKernel> host_kernels_;
  Memory memory_;
  std::atomic<Precision> precision_;
};

}  // namespace troupe::cpu
