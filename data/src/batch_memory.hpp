#pragma once

#include <troupe/core/system.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe::data {

/// The memory of batches, used again and again: blocks of one size, taken for a batch and back when
/// the last value that reads it is gone.
///
/// Threads   any.
/// Bound     as many blocks as batches were alive at one time.
class BatchMemory : public std::enable_shared_from_this<BatchMemory> {
 public:
  static constexpr std::size_t alignment = 64;  // a cache line, and the widest register
  [[nodiscard]] static constexpr std::size_t aligned(std::size_t bytes) noexcept {
    return (bytes + alignment - 1) / alignment * alignment;
  }

  BatchMemory(System& system, std::size_t block_bytes) : system_(&system), bytes_(block_bytes) {}
  ~BatchMemory();
  BatchMemory(const BatchMemory&) = delete;
  BatchMemory& operator=(const BatchMemory&) = delete;

  [[nodiscard]] std::size_t block_bytes() const noexcept { return bytes_; }
  /// A block, uninitialized, that comes back when the last copy of the pointer is gone.
  [[nodiscard]] std::shared_ptr<std::byte> take();

 private:
  void give_back(std::byte* block) noexcept;

  System* system_;
  std::size_t bytes_;
  std::mutex mutex_;
  std::vector<std::byte*> free_;
  std::size_t blocks_ = 0;
};

}  // namespace troupe::data
