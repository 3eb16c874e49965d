#include "pool.hpp"

#include <cstring>
#include <utility>

namespace troupe {

Pool::~Pool() {
  if (keep_memory_) return;
  for (const Slab& slab : slabs_) ::operator delete (slab.memory, std::align_val_t{64});
}

void Pool::Cache::refill(Kind kind, std::size_t size) {
  Magazine& loaded = loaded_[kind][size];
  Magazine& spare = spare_[kind][size];
  loaded = spare.first ? std::exchange(spare, {}) : pool_.take_magazine(kind, size);
}

void Pool::Cache::make_room(Kind kind, std::size_t size) noexcept {
  Magazine& loaded = loaded_[kind][size];
  Magazine& spare = spare_[kind][size];
  // A spare magazine is full or empty: only full ones are put by, only whole ones taken up.
  if (spare.first) pool_.give_magazine(kind, size, spare.first);
  spare = std::exchange(loaded, {});
}

Pool::Magazine Pool::take_magazine(Kind kind, std::size_t size) {
  const std::size_t block_bytes = (size + 1) * step;
  const std::uint32_t blocks = magazine_blocks(size);
  const std::lock_guard lock(mutex_);
  Shelf& shelf = shelves_[kind][size];
  if (shelf.full) {
    Block* first = std::exchange(shelf.full, shelf.full->next_magazine);
    return {first, blocks};
  }
  if (shelf.slab == none ||
      (slabs_[shelf.slab].blocks_carved + blocks) * block_bytes > slab_bytes) {
    auto* memory = static_cast<std::byte*>(::operator new (slab_bytes, std::align_val_t{64}));
    slabs_.push_back({memory, block_bytes, 0, kind == cells});
    shelf.slab = slabs_.size() - 1;
  }
  Slab& slab = slabs_[shelf.slab];
  std::byte* begin = slab.memory + slab.blocks_carved * block_bytes;
  slab.blocks_carved += blocks;
  // Cells are told from free blocks by their content, so that must not be left to chance.
  if (kind == cells) std::memset(begin, 0, blocks * block_bytes);
  Block* first = nullptr;
  for (std::uint32_t i = blocks; i-- > 0;)
    first = new (begin + i * block_bytes) Block{first, nullptr};
  return {first, blocks};
}

void Pool::give_magazine(Kind kind, std::size_t size, Block* first) noexcept {
  const std::lock_guard lock(mutex_);
  first->next_magazine = std::exchange(shelves_[kind][size].full, first);
}

void* Pool::allocate_large(Kind kind, std::size_t bytes) {
  void* memory = ::operator new (bytes, std::align_val_t{64});
  if (kind == cells) {
    std::memset(memory, 0, bytes);
    const std::lock_guard lock(mutex_);
    large_cells_.insert(memory);
  }
  return memory;
}

void Pool::deallocate_large(Kind kind, void* memory, std::size_t) noexcept {
  if (kind == cells) {
    const std::lock_guard lock(mutex_);
    large_cells_.erase(memory);
  }
  ::operator delete (memory, std::align_val_t{64});
}

void* Pool::guest_allocate(Kind kind, std::size_t bytes) {
  const std::lock_guard lock(guest_mutex_);
  return guest_.allocate(kind, bytes);
}

void Pool::guest_deallocate(Kind kind, void* memory, std::size_t bytes) noexcept {
  const std::lock_guard lock(guest_mutex_);
  guest_.deallocate(kind, memory, bytes);
}

void Pool::for_each_cell(const std::function<void(void*)>& visit) {
  const std::lock_guard lock(mutex_);
  for (const Slab& slab : slabs_) {
    if (!slab.of_cells) continue;
    for (std::size_t i = 0; i < slab.blocks_carved; ++i) visit(slab.memory + i * slab.block_bytes);
  }
  for (void* cell : large_cells_) visit(cell);
}

}  // namespace troupe
