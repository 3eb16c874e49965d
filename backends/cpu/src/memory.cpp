#include "memory.hpp"

#include <troupe/core/error.hpp>

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <string>

namespace troupe::cpu {

namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t slab_bytes = std::size_t{2} << 20;
constexpr std::size_t cache_least = std::size_t{64} << 20;
constexpr std::size_t least_shift = 6;  // the smallest size is 8 << 6 = 512 bytes

std::string readable(std::size_t bytes) {
  char text[32];
  if (bytes < std::size_t{10} << 10)
    std::snprintf(text, sizeof text, "%zu bytes", bytes);
  else if (bytes < std::size_t{10} << 20)
    std::snprintf(text, sizeof text, "%.1f KiB", static_cast<double>(bytes) / 1024);
  else
    std::snprintf(text, sizeof text, "%.1f MiB", static_cast<double>(bytes) / (1024 * 1024));
  return text;
}

}  // namespace

/// Spins: what it guards is a few instructions.
class Memory::Lock {
 public:
  explicit Lock(Size& size) noexcept : size_(size) {
    while (size_.locked.test_and_set(std::memory_order_acquire)) __builtin_ia32_pause();
  }
  ~Lock() { size_.locked.clear(std::memory_order_release); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  Size& size_;
};

std::size_t Memory::index_of(std::size_t bytes) noexcept {
  if (bytes <= std::size_t{8} << least_shift) return 0;
  const auto shift = static_cast<std::size_t>(std::bit_width(bytes - 1)) - 4;
  const std::size_t units = ((bytes - 1) >> shift) + 1;  // 8 … 16
  // 16 is the next doubling's 8; of 512 bytes the first term is −8, and the sum 0.
  return (shift - least_shift) * 8 + units - 8;
}

std::size_t Memory::bytes_of(std::size_t index) noexcept {
  return (8 + index % 8) << (index / 8 + least_shift);
}

Memory::Memory(const Options& options) noexcept
    : bytes_max_(options.memory_bytes_max), poisons_(options.poison_memory) {}

Memory::~Memory() {
  trim();
  for (std::byte* slab : slabs_) ::munmap(slab, slab_bytes);
}

std::byte* Memory::allocate(std::size_t bytes) {
  if (bytes > bytes_of(size_count - 1)) throw_out_of_memory(bytes);
  const std::size_t index = index_of(bytes);
  const std::size_t size_bytes = bytes_of(index);
  // Counted first: of two threads that ask for the last of it, one is refused.
  const std::size_t in_use = in_use_.fetch_add(size_bytes, std::memory_order_relaxed) + size_bytes;
  if (bytes_max_ != 0 && in_use > bytes_max_) {
    in_use_.fetch_sub(size_bytes, std::memory_order_relaxed);
    throw_out_of_memory(bytes);
  }
  Size& size = sizes_[index];
  std::byte* block = nullptr;
  {
    const Lock lock(size);
    ++size.live;
    size.used_at = clock_.load(std::memory_order_relaxed);
    if (FreeBlock* free = size.free) {
      size.free = free->next;
      --size.cached;
      block = reinterpret_cast<std::byte*>(free);
    }
  }
  if (block) {
    cached_.fetch_sub(size_bytes, std::memory_order_relaxed);
    if (size_bytes >= mapped_least) cached_mapped_.fetch_sub(size_bytes, std::memory_order_relaxed);
  } else {
    clock_.fetch_add(1, std::memory_order_relaxed);
    block = size_bytes >= mapped_least ? map(size_bytes) : take_from_slab(size_bytes);
    if (!block) {
      {
        const Lock lock(size);
        --size.live;
      }
      in_use_.fetch_sub(size_bytes, std::memory_order_relaxed);
      throw_out_of_memory(bytes);
    }
  }
  std::size_t peak = peak_.load(std::memory_order_relaxed);
  while (in_use > peak && !peak_.compare_exchange_weak(peak, in_use, std::memory_order_relaxed)) {
  }
  if (poisons_) std::memset(block, 0xff, size_bytes);
  return block;
}

void Memory::free(std::byte* block, std::size_t bytes) noexcept {
  const std::size_t index = index_of(bytes);
  const std::size_t size_bytes = bytes_of(index);
  if (poisons_) std::memset(block, 0xff, size_bytes);
  auto* free = reinterpret_cast<FreeBlock*>(block);
  // Counted before another thread can take it and count it off again: below 0 the counts would be
  // huge, and the whole cache would be given back.
  cached_.fetch_add(size_bytes, std::memory_order_relaxed);
  if (size_bytes >= mapped_least) cached_mapped_.fetch_add(size_bytes, std::memory_order_relaxed);
  Size& size = sizes_[index];
  {
    const Lock lock(size);
    free->next = size.free;
    size.free = free;
    ++size.cached;
    --size.live;
  }
  in_use_.fetch_sub(size_bytes, std::memory_order_relaxed);
  if (size_bytes >= mapped_least) keep_cache_small();
}

void Memory::keep_cache_small() noexcept {
  const std::size_t limit = std::max(cache_least, 2 * peak_.load(std::memory_order_relaxed));
  while (cached_mapped_.load(std::memory_order_relaxed) > limit) {
    Size* oldest = nullptr;
    std::size_t oldest_bytes = 0;
    std::uint64_t oldest_used_at = 0;
    for (std::size_t i = index_of(mapped_least); i < size_count; ++i) {
      const Lock lock(sizes_[i]);
      if (sizes_[i].cached == 0 || (oldest && sizes_[i].used_at >= oldest_used_at)) continue;
      oldest = &sizes_[i];
      oldest_used_at = sizes_[i].used_at;
      oldest_bytes = bytes_of(i);
    }
    if (!oldest) return;
    FreeBlock* block = nullptr;
    {
      const Lock lock(*oldest);
      block = oldest->free;
      if (!block) continue;
      oldest->free = block->next;
      --oldest->cached;
    }
    unmap(block, oldest_bytes);
  }
}

void Memory::trim() noexcept {
  for (std::size_t i = index_of(mapped_least); i < size_count; ++i) {
    FreeBlock* block = nullptr;
    {
      const Lock lock(sizes_[i]);
      block = std::exchange(sizes_[i].free, nullptr);
      sizes_[i].cached = 0;
    }
    while (block) {
      FreeBlock* next = block->next;
      unmap(block, bytes_of(i));
      block = next;
    }
  }
}

MemoryStatistics Memory::statistics() const noexcept {
  return {
      in_use_.load(std::memory_order_relaxed),
      peak_.load(std::memory_order_relaxed),
      cached_.load(std::memory_order_relaxed),
      system_calls_.load(std::memory_order_relaxed)};
}

std::byte* Memory::take_from_slab(std::size_t bytes) {
  const std::lock_guard lock(slab_mutex_);
  if (slab_left_ < bytes) {
    slabs_.reserve(slabs_.size() + 1);
    std::byte* slab = map(slab_bytes);
    if (!slab) return nullptr;
    // What is left of the old slab is handed out in the sizes it still holds.
    while (slab_left_ >= bytes_of(0)) {
      std::size_t index = index_of(slab_left_);
      if (bytes_of(index) > slab_left_) --index;
      auto* free = reinterpret_cast<FreeBlock*>(slab_);
      const Lock size_lock(sizes_[index]);
      free->next = sizes_[index].free;
      sizes_[index].free = free;
      ++sizes_[index].cached;
      cached_.fetch_add(bytes_of(index), std::memory_order_relaxed);
      slab_ += bytes_of(index);
      slab_left_ -= bytes_of(index);
    }
    slabs_.push_back(slab);
    slab_ = slab;
    slab_left_ = slab_bytes;
  }
  std::byte* block = slab_;
  slab_ += bytes;
  slab_left_ -= bytes;
  return block;
}

std::byte* Memory::map(std::size_t bytes) {
  const bool huge = bytes >= huge_page;
  const std::size_t room = huge ? bytes + huge_page : bytes;
  const auto ask = [&] {
    system_calls_.fetch_add(1, std::memory_order_relaxed);
    return ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  };
  void* mapping = ask();
  if (mapping == MAP_FAILED) {
    trim();
    mapping = ask();
    if (mapping == MAP_FAILED) return nullptr;
  }
  auto* block = static_cast<std::byte*>(mapping);
  if (huge) {
    // Only whole aligned pages can be huge: the mapping is made too long, and its ends cut off.
    const std::size_t before =
        (huge_page - reinterpret_cast<std::uintptr_t>(block) % huge_page) % huge_page;
    if (before > 0) ::munmap(block, before);
    block += before;
    if (before < huge_page) ::munmap(block + bytes, huge_page - before);
    ::madvise(block, bytes, MADV_HUGEPAGE);
  }
  return block;
}

void Memory::unmap(void* block, std::size_t bytes) noexcept {
  system_calls_.fetch_add(1, std::memory_order_relaxed);
  ::munmap(block, bytes);
  cached_.fetch_sub(bytes, std::memory_order_relaxed);
  cached_mapped_.fetch_sub(bytes, std::memory_order_relaxed);
}

void Memory::throw_out_of_memory(std::size_t bytes) {
  struct Holder {
    std::size_t bytes;
    std::uint32_t count;
  };
  std::vector<Holder> holders;
  for (std::size_t i = 0; i < size_count; ++i) {
    const Lock lock(sizes_[i]);
    if (sizes_[i].live > 0) holders.push_back({bytes_of(i), sizes_[i].live});
  }
  std::sort(holders.begin(), holders.end(), [](const Holder& a, const Holder& b) {
    return a.bytes * a.count > b.bytes * b.count;
  });
  std::string text = "the CPU cannot hold " + readable(bytes) + " more; " +
                     readable(in_use_.load(std::memory_order_relaxed)) + " are in use";
  for (std::size_t i = 0; i < std::min<std::size_t>(holders.size(), 3); ++i)
    text += (i == 0 ? ", most of it by " : ", ") + std::to_string(holders[i].count) + " of " +
            readable(holders[i].bytes);
  throw Error(ErrorCode::out_of_memory, text).hint("use a smaller batch, or hold fewer tensors");
}

}  // namespace troupe::cpu
