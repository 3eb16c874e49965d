#include <troupe/core/system.hpp>
#include <troupe/tensor/device.hpp>
#include <troupe/tensor/shared_meta.hpp>

#include <new>

namespace troupe {

Ref<SharedMeta> SharedMeta::make(Device& device, const Meta& meta) {
  System& system = device.system();
  return Ref<SharedMeta>::adopt(new (system.allocate(sizeof(SharedMeta)))
                                    SharedMeta(system, &device, meta));
}

Ref<SharedMeta> SharedMeta::make(System& system, const Meta& meta) {
  return Ref<SharedMeta>::adopt(new (system.allocate(sizeof(SharedMeta)))
                                    SharedMeta(system, nullptr, meta));
}

void SharedMeta::destroy() noexcept {
  System& system = *system_;
  this->~SharedMeta();
  system.deallocate(this, sizeof(SharedMeta));
}

}  // namespace troupe
