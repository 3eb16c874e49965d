#pragma once

#include "sink.hpp"

#include <troupe/tensor/value.hpp>

#include <atomic>
#include <cstdint>

namespace troupe::vulkan {

class VulkanDevice;

/// An allocation that values share.
class VulkanBuffer final : public Buffer {
 public:
  /// Of the sink's memory, or of another's.
  [[nodiscard]] static Ref<Buffer> make(VulkanDevice& device, Sink& sink, std::size_t bytes) {
    return make(device, sink, sink.memory(), bytes);
  }
  [[nodiscard]] static Ref<Buffer> make(
      VulkanDevice& device, Sink& sink, Memory& memory, std::size_t bytes);

  [[nodiscard]] const Allocation& allocation() const noexcept { return allocation_; }
  /// The count of the queue by which the last that writes it is done (`Queue::wait`). Set by who
  /// launches that, before others see the value.
  [[nodiscard]] std::uint64_t written_until() const noexcept {
    return written_until_.load(std::memory_order_relaxed);
  }
  void set_written_until(std::uint64_t count) noexcept {
    written_until_.store(count, std::memory_order_relaxed);
  }

 private:
  VulkanBuffer(
      VulkanDevice& device,
      Memory& memory,
      std::size_t bytes,
      const Allocation& allocation) noexcept;
  void destroy() noexcept override;

  Memory* memory_;
  Allocation allocation_;
  std::atomic<std::uint64_t> written_until_{0};
};

}  // namespace troupe::vulkan
