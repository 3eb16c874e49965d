#pragma once

#include "command_recorder.hpp"
#include "sink.hpp"

#include <troupe/tensor/device.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace troupe::vulkan {

class VulkanDevice;

/// A command buffer that is submitted as often as one likes, also while it still runs. Lives until
/// the device is through with it.
struct RecordedCommands {
  explicit RecordedCommands(std::shared_ptr<Context> context);
  ~RecordedCommands();
  RecordedCommands(const RecordedCommands&) = delete;
  RecordedCommands& operator=(const RecordedCommands&) = delete;

  std::shared_ptr<Context> context;
  VkCommandPool pool = VK_NULL_HANDLE;
  VkCommandBuffer commands = VK_NULL_HANDLE;
  CommandRecorder::Counts counts;
};

/// Memory that only one recording uses: what is freed while it records is used again in it, and all
/// of it goes back when the recording goes, or when it is needed elsewhere.
class Arena final : public Memory {
 public:
  explicit Arena(VulkanDevice& device) noexcept : device_(device) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  [[nodiscard]] Allocation allocate(std::uint64_t bytes) override;
  void free(const Allocation& allocation) noexcept override;
  /// Gives back what no value lies in.
  void release() noexcept;

 private:
  VulkanDevice& device_;
  std::multimap<std::uint64_t, Allocation> free_;  // by bytes
};

/// A step of a program on a GPU: a secondary command buffer, and a small block of memory with what
/// changes from step to step.
///
/// Threads   one at a time; `release` from any.
class VulkanRecording final : public Recording, private Sink, private Device {
 public:
  VulkanRecording(VulkanDevice& device, std::size_t numbers);
  ~VulkanRecording() override;

  [[nodiscard]] Device& device() noexcept override { return *this; }
  [[nodiscard]] const Value& numbers() const noexcept override { return numbers_; }
  void finish() override;
  [[nodiscard]] bool replay(
      std::span<const double> numbers,
      std::uint64_t random_seed,
      std::uint64_t random_call,
      std::span<const Value> written) override;
  [[nodiscard]] std::uint64_t place_of(const Value& value) const noexcept override;
  /// Gives its memory back, if it is not in use just now: it does not replay again.
  void release() noexcept;

 private:
  // What encoders make.
  std::uint64_t send(const Dispatch& dispatch) override;
  std::uint64_t send(Transfer transfer) override;
  [[nodiscard]] Memory& memory() noexcept override { return arena_; }
  [[nodiscard]] RandomSource random(const Launch& launch) const noexcept override {
    return {0, launch.random_call, state_};
  }
  // What launches ask of a device.
  [[nodiscard]] std::string_view name() const noexcept override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] bool reads_at_once() const noexcept override { return false; }
  [[nodiscard]] Ref<Buffer> allocate(std::size_t bytes) override;
  [[nodiscard]] bool supports(const OpInfo& op) const noexcept override;
  [[nodiscard]] Ticket launch(const Launch& launch) override;
  // What would need elements, of which there are none while it records.
  [[nodiscard]] Ref<Buffer> borrow(
      std::span<const std::byte> bytes, std::shared_ptr<const void> owner) override;
  [[nodiscard]] Value upload(const Meta& meta, std::span<const std::byte> bytes) override;
  void download(const Value& value, std::span<std::byte> into) override;
  [[nodiscard]] Ticket read(const Value& value, Use use) override;
  void write(const Value& to, std::span<const std::byte> bytes) override;
  [[noreturn]] void refuse() const;

  VulkanDevice& device_;
  Arena arena_;
  std::vector<Allocation> tables_;  // of joined dispatches
  std::shared_ptr<RecordedCommands> commands_;
  CommandRecorder recorder_;
  // The block: the random state's four words, then the numbers.
  Ref<Buffer> block_;
  Value state_;
  Value numbers_;
  std::mutex in_use_;  // held while it is sent
  bool released_ = false;
};

}  // namespace troupe::vulkan
