#pragma once

#include "context.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe::vulkan {

/// One piece of memory from the driver, with one buffer over all of it.
struct Block {
  VkDeviceMemory memory = VK_NULL_HANDLE;
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceAddress address = 0;
  std::byte* mapped = nullptr;  ///< null where the host cannot see it
  std::uint64_t bytes = 0;
  std::uint32_t number = 0;                     ///< small, for tables
  std::map<std::uint64_t, std::uint64_t> free;  ///< offset → bytes of the gaps between allocations
  std::uint64_t used_until = 0;                 ///< the latest of what was freed into the gaps
};

/// A part of a block. `used_until`: the queue may use it for what it was sent before this count.
struct Allocation {
  Block* block = nullptr;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  ///< rounded up to what was taken
  std::uint64_t used_until = 0;

  [[nodiscard]] VkDeviceAddress address() const noexcept { return block->address + offset; }
  [[nodiscard]] std::byte* mapped() const noexcept {
    return block->mapped ? block->mapped + offset : nullptr;
  }
};

/// Gives memory and takes it back.
class Memory {
 public:
  /// Throws `out_of_memory`.
  [[nodiscard]] virtual Allocation allocate(std::uint64_t bytes) = 0;
  virtual void free(const Allocation& allocation) noexcept = 0;

 protected:
  ~Memory() = default;
};

/// What memory is for, which decides from which of the device's heaps it comes.
enum class Purpose { device, staging };

/// Memory of one device and one purpose, cut from large blocks; what comes back is kept for the
/// next of its size. A freed allocation may still be used by work sent earlier: on the queue that
/// is no matter, for later work comes after it there, and what the host would write asks
/// `used_until`.
///
/// Threads   any.
class Allocator final : public Memory {
 public:
  /// @param settle  called, without a lock, when memory has run out: waits for the work that is
  ///                under way, and returns the count up to which it is done, as `used_until` counts
  Allocator(Context& context, Purpose purpose, std::function<std::uint64_t()> settle);
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// Throws `out_of_memory` naming the size, what is in use, and the largest holders.
  [[nodiscard]] Allocation allocate(std::uint64_t bytes) override;
  void free(const Allocation& allocation) noexcept override;
  /// Gives blocks that nobody uses, and no work of the queue, back to the driver.
  void trim();

  struct Counts {
    std::uint64_t in_use = 0;
    std::uint64_t peak = 0;
    std::uint64_t reserved = 0;
  };
  [[nodiscard]] Counts counts() const;

 private:
  // Every binding begins at a multiple of this: no device asks for more.
  static constexpr std::uint64_t alignment = 256;
  static constexpr std::uint64_t block_bytes_min = std::uint64_t{64} << 20;

  [[nodiscard]] static std::uint64_t rounded(std::uint64_t bytes) noexcept;
  bool take_cached(std::uint64_t bytes, Allocation& out);
  bool take_from_blocks(std::uint64_t bytes, Allocation& out);
  bool add_block(std::uint64_t bytes);
  void give_back(const Allocation& allocation) noexcept;
  void empty_cache() noexcept;
  void drop_unused(std::uint64_t done) noexcept;
  void destroy(Block& block) noexcept;
  [[nodiscard]] std::uint64_t limit() const;

  Context& context_;
  Purpose purpose_;
  std::uint32_t memory_type_ = 0;
  std::function<std::uint64_t()> settle_;

  mutable std::mutex lock_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::uint32_t next_number_ = 0;
  std::map<std::uint64_t, std::vector<Allocation>> cache_;          // by bytes
  std::map<std::pair<Block*, std::uint64_t>, std::uint64_t> held_;  // large ones, for the report
  Counts counts_;
};

}  // namespace troupe::vulkan
