#include <troupe/core/buffers.hpp>

#include <new>
#include <utility>

namespace troupe {

namespace {

constexpr std::align_val_t alignment{64};
// Below, looking for one takes longer than a new one.
constexpr std::size_t worth_keeping = 1024;
// Each is looked at, at worst.
constexpr std::size_t kept_max = 256;

}  // namespace

void Buffers::Free::operator()(std::byte* memory) const noexcept {
  ::operator delete(memory, alignment);
}

std::shared_ptr<std::byte> Buffers::take(std::size_t bytes) {
  std::unique_ptr<std::byte, Free> memory;
  if (bytes >= worth_keeping) {
    const std::lock_guard lock(mutex_);
    for (auto kept = kept_.rbegin(); kept != kept_.rend(); ++kept) {
      if (kept->bytes < bytes || kept->bytes / 2 > bytes) continue;
      memory = std::move(kept->memory);
      bytes = kept->bytes;
      kept_bytes_ -= bytes;
      kept_.erase(std::next(kept).base());
      break;
    }
  }
  if (!memory) memory.reset(static_cast<std::byte*>(::operator new(bytes, alignment)));
  if (bytes < worth_keeping) return std::shared_ptr<std::byte>(std::move(memory));
  return {memory.release(), [bytes, pool = weak_from_this()](std::byte* dropped) {
            if (const auto buffers = pool.lock()) return buffers->give_back(dropped, bytes);
            Free{}(dropped);
          }};
}

void Buffers::give_back(std::byte* memory, std::size_t bytes) noexcept {
  std::unique_ptr<std::byte, Free> owned(memory);
  std::vector<Kept> let_go;  // after the lock
  if (bytes > kept_bytes_max_) return;
  try {
    const std::lock_guard lock(mutex_);
    while (kept_bytes_ + bytes > kept_bytes_max_ || kept_.size() == kept_max) {
      let_go.push_back(std::move(kept_.front()));
      kept_bytes_ -= let_go.back().bytes;
      kept_.erase(kept_.begin());
    }
    kept_.push_back({std::move(owned), bytes});
    kept_bytes_ += bytes;
  } catch (const std::bad_alloc&) {
    // Then it is not kept: the list itself found no room.
  }
}

std::size_t Buffers::kept_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace troupe
