#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <new>
#include <set>
#include <vector>

// AddressSanitizer sees use after free only through its own allocator: there every block is large.
#if defined(__SANITIZE_ADDRESS__)
#define TROUPE_POOL_PLAIN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TROUPE_POOL_PLAIN
#endif
#endif

namespace troupe {

/// The system's memory for small, short-lived things: messages, actors, records.
///
/// Each seat has a cache of free blocks for each size, in steps of 16 bytes up to 512; caches trade
/// whole magazines with the pool, so a block freed on another thread than it came from costs no
/// more. Larger blocks come from `operator new`.
///
/// Threads   a cache belongs to the thread on its seat; the pool's own functions are for any.
/// Memory    comes in slabs, given back when the pool ends.
/// Cells     actors lie in slabs of their own, so that the pool can find every actor without a list
///           of them: a list would cost each spawn a lock or each cell two pointers.
class Pool {
 public:
  enum Kind : unsigned { data = 0, cells = 1 };
  static constexpr std::size_t step = 16;
  static constexpr std::size_t small_max = 512;
  static constexpr std::size_t sizes = small_max / step;

  struct Block {
    Block* next;
    Block* next_magazine;  // of a magazine's first block, while it is put by
  };
  struct Magazine {
    Block* first = nullptr;
    std::uint32_t count = 0;
  };

  /// The free blocks of one seat. Two magazines for each size: blocks go back to the pool only when
  /// both are full, so a loop that allocates and frees across the boundary does not trade each
  /// time.
  class Cache {
   public:
    explicit Cache(Pool& pool) noexcept : pool_(pool) {}

    void* allocate(Kind kind, std::size_t bytes) {
      count(kind, 1);
#if !defined(TROUPE_POOL_PLAIN)
      if (bytes <= small_max) [[likely]] {
        const std::size_t size = (bytes + step - 1) / step - 1;
        Magazine& magazine = loaded_[kind][size];
        if (!magazine.first) [[unlikely]]
          refill(kind, size);
        Block* block = magazine.first;
        magazine.first = block->next;
        --magazine.count;
        return block;
      }
#endif
      return pool_.allocate_large(kind, bytes);
    }

    void deallocate(Kind kind, void* memory, std::size_t bytes) noexcept {
      count(kind, -1);
#if !defined(TROUPE_POOL_PLAIN)
      if (bytes <= small_max) [[likely]] {
        const std::size_t size = (bytes + step - 1) / step - 1;
        Magazine& magazine = loaded_[kind][size];
        if (magazine.count == magazine_blocks(size)) [[unlikely]]
          make_room(kind, size);
        magazine.first = new (memory) Block{magazine.first, nullptr};
        ++magazine.count;
        return;
      }
#endif
      pool_.deallocate_large(kind, memory, bytes);
    }

    /// Blocks taken minus blocks given back through this cache; may be negative.
    [[nodiscard]] std::int64_t in_use(Kind kind) const noexcept {
      return in_use_[kind].load(std::memory_order_relaxed);
    }

   private:
    void refill(Kind kind, std::size_t size);
    void make_room(Kind kind, std::size_t size) noexcept;
    void count(Kind kind, int by) noexcept {
      // Only this thread writes it; others may read.
      in_use_[kind].store(
          in_use_[kind].load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }

    Pool& pool_;
    Magazine loaded_[2][sizes];
    Magazine spare_[2][sizes];
    std::atomic<std::int64_t> in_use_[2] = {};
  };

  Pool() : guest_(*this) {}
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /// For threads without a seat: one cache for all of them, behind a lock.
  void* guest_allocate(Kind kind, std::size_t bytes);
  void guest_deallocate(Kind kind, void* memory, std::size_t bytes) noexcept;
  [[nodiscard]] std::int64_t guest_in_use(Kind kind) const noexcept { return guest_.in_use(kind); }

  /// Leaves the slabs to those who still hold blocks when the pool ends: a leak, but no dangling
  /// pointer.
  void keep_memory() noexcept { keep_memory_ = true; }

  /// Calls `visit` with every block that was ever given out as a cell; the visitor tells live ones
  /// apart. Only while no other thread uses the pool.
  void for_each_cell(const std::function<void(void*)>& visit);

 private:
  friend class Cache;
  struct Slab {
    std::byte* memory;
    std::size_t block_bytes;
    std::size_t blocks_carved;
    bool of_cells;
  };
  struct Shelf {              // all magazines of one size
    Block* full = nullptr;    // linked through their first blocks: putting one by allocates nothing
    std::size_t slab = none;  // the one to carve from
  };
  static constexpr std::size_t none = ~std::size_t{0};
  static constexpr std::size_t slab_bytes = 64 * 1024;

  static constexpr std::uint32_t magazine_blocks(std::size_t size) noexcept {
    const std::size_t blocks = 4096 / ((size + 1) * step);
    return static_cast<std::uint32_t>(blocks > 64 ? 64 : blocks);
  }
  Magazine take_magazine(Kind kind, std::size_t size);
  void give_magazine(Kind kind, std::size_t size, Block* first) noexcept;
  void* allocate_large(Kind kind, std::size_t bytes);
  void deallocate_large(Kind kind, void* memory, std::size_t bytes) noexcept;

  std::mutex mutex_;
  Shelf shelves_[2][sizes];
  std::vector<Slab> slabs_;
  std::set<void*> large_cells_;
  bool keep_memory_ = false;

  std::mutex guest_mutex_;
  Cache guest_;
};

}  // namespace troupe
