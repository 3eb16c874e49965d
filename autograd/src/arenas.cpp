#include "arenas.hpp"

#include <troupe/tensor/device.hpp>

#include <algorithm>
#include <utility>

namespace troupe {

namespace {

class AllArenas final : public Service {
 public:
  explicit AllArenas(System&) {}
  std::mutex mutex;
  std::unordered_map<const Device*, std::weak_ptr<Arenas>> of;
};

}  // namespace

std::shared_ptr<Arenas> Arenas::of(Device& device) {
  System& system = device.system();
  auto* all = system.find<AllArenas>();
  if (!all) all = &system.attach<AllArenas>(system);
  const std::lock_guard lock(all->mutex);
  std::weak_ptr<Arenas>& known = all->of[&device];
  std::shared_ptr<Arenas> arenas = known.lock();
  if (!arenas) known = arenas = std::make_shared<Arenas>(device);
  return arenas;
}

Ref<Buffer> Arenas::take(std::size_t bytes) {
  {
    const std::lock_guard lock(mutex_);
    const auto largest = std::max_element(
        free_.begin(), free_.end(), [](const Ref<Buffer>& a, const Ref<Buffer>& b) {
          return a->bytes() < b->bytes();
        });
    if (largest != free_.end()) {
      Ref<Buffer> arena = std::move(*largest);
      free_.erase(largest);
      if (arena->bytes() >= bytes) return arena;
      // A larger one comes in its place.
    }
  }
  return device_.allocate(bytes);
}

void Arenas::give_back(Ref<Buffer> arena) noexcept {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(arena));
}

}  // namespace troupe
