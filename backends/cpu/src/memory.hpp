#pragma once

#include <troupe/cpu/cpu.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace troupe::cpu {

/// The memory of one device: keeps what is freed, sorted by size, so that a step that repeats asks
/// the operating system for nothing.
///
/// Sizes      eight to each doubling, so at most an eighth is wasted; all multiples of 64 bytes.
/// Blocks     below 256 KiB are cut from slabs, larger ones mapped by themselves, from 2 MiB on
/// aligned
///            for huge pages.
/// Threads    any; one short lock for each size.
/// Bound      cached mappings never exceed twice the most that was in use, and 64 MiB; beyond that,
/// the
///            sizes that were used longest ago are given back.
class Memory {
 public:
  explicit Memory(const Options& options) noexcept;
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// At least `bytes`, aligned to 64. Throws `out_of_memory`, naming the largest holders.
  [[nodiscard]] std::byte* allocate(std::size_t bytes);
  /// `bytes` as given to allocate().
  void free(std::byte* block, std::size_t bytes) noexcept;

  void trim() noexcept;
  [[nodiscard]] MemoryStatistics statistics() const noexcept;
  [[nodiscard]] bool poisons() const noexcept { return poisons_; }

 private:
  struct FreeBlock {
    FreeBlock* next;
  };
  /// All blocks of one size.
  struct alignas(64) Size {
    std::atomic_flag locked = ATOMIC_FLAG_INIT;
    std::uint32_t cached = 0;
    std::uint32_t live = 0;
    std::uint64_t used_at = 0;  // what the clock showed at its last allocation
    FreeBlock* free = nullptr;
  };
  class Lock;
  static constexpr std::size_t doublings = 34;  // up to 8 TiB
  static constexpr std::size_t size_count = doublings * 8;
  static constexpr std::size_t mapped_least = std::size_t{256} << 10;

  static std::size_t index_of(std::size_t bytes) noexcept;
  static std::size_t bytes_of(std::size_t index) noexcept;

  std::byte* take_from_slab(std::size_t bytes);
  std::byte* map(std::size_t bytes);
  void unmap(void* block, std::size_t bytes) noexcept;
  void keep_cache_small() noexcept;
  [[noreturn]] void throw_out_of_memory(std::size_t bytes);

  std::array<Size, size_count> sizes_;
  std::mutex slab_mutex_;
  std::byte* slab_ = nullptr;  // the rest of the newest slab
  std::size_t slab_left_ = 0;
  std::vector<std::byte*> slabs_;
  std::atomic<std::size_t> in_use_{0};
  std::atomic<std::size_t> peak_{0};
  std::atomic<std::size_t> cached_{0};
  std::atomic<std::size_t> cached_mapped_{0};
  std::atomic<std::uint64_t> clock_{0};  // allocations that the cache could not serve
  std::atomic<std::uint64_t> system_calls_{0};
  const std::size_t bytes_max_;
  const bool poisons_;
};

}  // namespace troupe::cpu
