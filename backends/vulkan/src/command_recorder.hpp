#pragma once

#include "dispatch.hpp"
#include "hazards.hpp"

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

namespace troupe::vulkan {

/// Writes work into a command buffer, in order, with a barrier wherever ranges of memory overlap of
/// which one is written, never where tensors are the same.
///
/// Dispatches that may be joined (`Dispatch::joined_groups`) and come one after another, of one
/// pipeline and with the same parameters, become one: what differs among them, addresses and sizes,
/// goes into a table in the device's memory, a row each (shaders/update.glsl).
///
/// Threads   one at a time.
class CommandRecorder {
 public:
  /// @param table  memory for a table of so many bytes: none that recorded work uses; it may be
  ///               given again once barriers stand between
  CommandRecorder(const Context& context, std::function<Allocation(std::uint64_t bytes)> table)
      : context_(context), table_(std::move(table)) {}

  /// From here on work goes into `commands`, which is being recorded, behind all that was submitted
  /// before.
  void begin(VkCommandBuffer commands);
  void record(const Dispatch& dispatch);
  void record(const Transfer& transfer);
  /// Has the device note the time when all before is done.
  void write_time(VkQueryPool pool, std::uint32_t query);
  /// Commands recorded by another of these, from `begin` to `end`.
  void execute(VkCommandBuffer secondary);
  /// Makes what the commands wrote visible to these readers.
  void end(VkPipelineStageFlags stages, VkAccessFlags readers);

  struct Counts {
    std::uint64_t dispatches = 0;
    std::uint64_t barriers = 0;
  };
  /// Since the last call.
  [[nodiscard]] Counts take_counts() noexcept { return std::exchange(counts_, {}); }

 private:
  void order(std::span<const Bound> ranges);
  void barrier();
  void show_writes(VkPipelineStageFlags stages, VkAccessFlags readers);
  void run(
      const Pipeline& pipeline,
      std::span<const std::uint32_t> push,
      const std::uint32_t (&groups)[3]);
  /// Whether a dispatch may become a row beside those that wait.
  [[nodiscard]] bool joins(const Dispatch& dispatch) const noexcept;
  void join(const Dispatch& dispatch);
  void write_joined();

  const Context& context_;
  std::function<Allocation(std::uint64_t)> table_;
  VkCommandBuffer commands_ = VK_NULL_HANDLE;
  const Pipeline* bound_ = nullptr;
  Hazards hazards_;
  Counts counts_;

  // Rows that wait for their like.
  static constexpr std::uint32_t rows_max = 64;
  Dispatch joined_;  // the first of them
  std::uint32_t row_count_ = 0;
  std::uint64_t joined_groups_ = 0;
  std::vector<std::uint32_t> rows_;
  std::vector<Bound> joined_ranges_;
};

/// What commands may wait for, and by what: all that compute and copies do.
inline constexpr VkPipelineStageFlags all_stages =
    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
inline constexpr VkAccessFlags all_writes =
    VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
inline constexpr VkAccessFlags all_access =
    all_writes | VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT;

}  // namespace troupe::vulkan
