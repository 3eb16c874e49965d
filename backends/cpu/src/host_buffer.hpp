#pragma once

#include "memory.hpp"

#include <troupe/tensor/value.hpp>

#include <cstddef>
#include <memory>

namespace troupe::cpu {

/// A buffer in the process's own memory.
class HostBuffer : public Buffer {
 public:
  [[nodiscard]] std::byte* data() const noexcept { return data_; }

 protected:
  HostBuffer(Device& device, std::size_t bytes, std::byte* data, bool writable = true) noexcept
      : Buffer(device, bytes, writable), data_(data) {}

 private:
  std::byte* data_;
};

/// The first element that a value shows.
[[nodiscard]] inline std::byte* data_of(const ValueBody& value) noexcept {
  return static_cast<const HostBuffer&>(*value.buffer()).data() +
         value.offset() * static_cast<std::int64_t>(size_of(value.dtype()));
}

/// New memory: with the buffer itself, in one small block of the system's pool, where that holds
/// both; else a block of the device's own.
[[nodiscard]] Ref<Buffer> make_buffer(Device& device, Memory& memory, std::size_t bytes);
/// The caller's memory.
[[nodiscard]] Ref<Buffer> borrow_buffer(
    Device& device, std::span<const std::byte> bytes, std::shared_ptr<const void> owner);

}  // namespace troupe::cpu
