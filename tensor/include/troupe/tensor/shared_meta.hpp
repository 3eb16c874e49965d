#pragma once

#include <troupe/core/ref.hpp>
#include <troupe/tensor/meta.hpp>

#include <atomic>
#include <cstdint>

namespace troupe {

class Device;
class System;

/// Dtype, shape and device of values and records, counted: those that are alike share one, so that
/// a chain of ops on one shape holds it once. Immutable.
class SharedMeta {
 public:
  [[nodiscard]] static Ref<SharedMeta> make(Device& device, const Meta& meta);
  /// The other, if it says the same; else one of its own.
  [[nodiscard]] static Ref<SharedMeta> like(
      const Ref<SharedMeta>& other, Device& device, const Meta& meta) {
    return other->fits(device, meta) ? other : make(device, meta);
  }
  /// Without a device: of an error.
  [[nodiscard]] static Ref<SharedMeta> make(System& system, const Meta& meta);

  void add_ref() noexcept { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() noexcept {
    if (last_reference(refs_)) destroy();
  }

  [[nodiscard]] const Meta& meta() const noexcept { return meta_; }
  [[nodiscard]] System& system() const noexcept { return *system_; }
  [[nodiscard]] Device& device() const noexcept { return *device_; }
  /// Whether it says the same as `meta` on `device`.
  [[nodiscard]] bool fits(const Device& device, const Meta& meta) const noexcept {
    return device_ == &device && (&meta_ == &meta || meta_ == meta);
  }

 private:
  static Ref<SharedMeta> make(System& system, Device* device, const Meta& meta);
  SharedMeta(System& system, Device* device, const Meta& meta) noexcept
      : system_(&system), device_(device), meta_(meta) {}
  void destroy() noexcept;

  std::atomic<std::uint32_t> refs_{1};
  System* system_;
  Device* device_;
  Meta meta_;
};

}  // namespace troupe
