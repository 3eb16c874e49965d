#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/shared_meta.hpp>

#include <new>

namespace troupe {

Ref<SharedMeta> SharedMeta::make(System& system, Device* device, const Meta& meta) {
  void* block = system.allocate(sizeof(SharedMeta));
  return Ref<SharedMeta>::adopt(new (block) SharedMeta(system, device, meta));
}

Ref<SharedMeta> SharedMeta::make(Device& device, const Meta& meta) {
  return make(device.system(), &device, meta);
}

Ref<SharedMeta> SharedMeta::make(System& system, const Meta& meta) {
  return make(system, nullptr, meta);
}

void SharedMeta::destroy() noexcept {
  System& system = *system_;
  this->~SharedMeta();
  system.deallocate(this, sizeof(SharedMeta));
}

}  // namespace troupe
