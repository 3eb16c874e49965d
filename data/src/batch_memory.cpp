#include "batch_memory.hpp"

#include <new>

namespace troupe::data {

namespace {

/// Lets a shared pointer's counts live in the system's pool.
template <class T>
struct PoolAllocator {
  using value_type = T;

  explicit PoolAllocator(System& owner) noexcept : system(&owner) {}
  template <class U>
  PoolAllocator(const PoolAllocator<U>& other) noexcept
      : system(other.system) {}  // NOLINT: rebinding

  T* allocate(std::size_t count) { return static_cast<T*>(system->allocate(count * sizeof(T))); }
  void deallocate(T* block, std::size_t count) noexcept {
    system->deallocate(block, count * sizeof(T));
  }
  template <class U>
  bool operator==(const PoolAllocator<U>& other) const noexcept {
    return system == other.system;
  }

  System* system;
};

}  // namespace

BatchMemory::~BatchMemory() {
  for (std::byte* block : free_) ::operator delete (block, std::align_val_t{alignment});
}

std::shared_ptr<std::byte> BatchMemory::take() {
  std::byte* block = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (!free_.empty()) {
      block = free_.back();
      free_.pop_back();
    } else {
      // Room to give every block back without allocating.
      free_.reserve(blocks_ + 1);
      block = static_cast<std::byte*>(::operator new (bytes_, std::align_val_t{alignment}));
      ++blocks_;
    }
  }
  const auto back = [memory = shared_from_this()](std::byte* used) { memory->give_back(used); };
  return {block, back, PoolAllocator<std::byte>(*system_)};
}

void BatchMemory::give_back(std::byte* block) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(block);
}

}  // namespace troupe::data
