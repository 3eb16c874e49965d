#include "host_buffer.hpp"

#include <cstring>
#include <new>
#include <utility>

namespace troupe::cpu {

namespace {

constexpr std::size_t alignment = 64;
constexpr std::size_t pool_alignment = 16;
constexpr std::size_t pool_block_max = 512;  // beyond it the system's pool asks malloc

/// Header and elements in one block.
class SmallBuffer final : public HostBuffer {
 public:
  static Ref<Buffer> make(Device& device, std::size_t bytes, bool poisons) {
    auto* block = static_cast<std::byte*>(device.system().allocate(room(bytes)));
    const auto behind = reinterpret_cast<std::uintptr_t>(block) + sizeof(SmallBuffer);
    std::byte* data = block + sizeof(SmallBuffer) + (alignment - behind % alignment) % alignment;
    if (poisons) std::memset(data, 0xff, bytes);
    return Ref<Buffer>::adopt(new (block) SmallBuffer(device, bytes, data));
  }
  static constexpr std::size_t room(std::size_t bytes) noexcept;

 private:
  using HostBuffer::HostBuffer;
  void destroy() noexcept override {
    System& system = device().system();
    const std::size_t block_bytes = room(bytes());
    this->~SmallBuffer();
    system.deallocate(this, block_bytes);
  }
};

constexpr std::size_t SmallBuffer::room(std::size_t bytes) noexcept {
  // Behind the header the next multiple of 64 is at most 48 bytes away if the header ends on one of
  // 16, as the pool's blocks begin, and up to 15 more if it does not.
  constexpr std::size_t header =
      (sizeof(SmallBuffer) + pool_alignment - 1) / pool_alignment * pool_alignment;
  return header + alignment - pool_alignment + bytes;
}

class BlockBuffer final : public HostBuffer {
 public:
  BlockBuffer(Device& device, Memory& memory, std::size_t bytes, std::byte* data) noexcept
      : HostBuffer(device, bytes, data), memory_(memory) {}

 private:
  void destroy() noexcept override {
    System& system = device().system();
    memory_.free(data(), bytes());
    this->~BlockBuffer();
    system.deallocate(this, sizeof(BlockBuffer));
  }

  Memory& memory_;
};

class BorrowedBuffer final : public HostBuffer {
 public:
  BorrowedBuffer(
      Device& device,
      std::size_t bytes,
      std::byte* data,
      std::shared_ptr<const void> owner) noexcept
      : HostBuffer(device, bytes, data, false), owner_(std::move(owner)) {}

 private:
  void destroy() noexcept override {
    System& system = device().system();
    this->~BorrowedBuffer();
    system.deallocate(this, sizeof(BorrowedBuffer));
  }

  std::shared_ptr<const void> owner_;
};

}  // namespace

Ref<Buffer> make_buffer(Device& device, Memory& memory, std::size_t bytes) {
  if (SmallBuffer::room(bytes) <= pool_block_max)
    return SmallBuffer::make(device, bytes, memory.poisons());
  void* header = device.system().allocate(sizeof(BlockBuffer));
  std::byte* data = nullptr;
  try {
    data = memory.allocate(bytes);
  } catch (...) {
    device.system().deallocate(header, sizeof(BlockBuffer));
    throw;
  }
  return Ref<Buffer>::adopt(new (header) BlockBuffer(device, memory, bytes, data));
}

Ref<Buffer> borrow_buffer(
    Device& device, std::span<const std::byte> bytes, std::shared_ptr<const void> owner) {
  void* header = device.system().allocate(sizeof(BorrowedBuffer));
  // Nothing ever writes to it: it is not writable().
  auto* data = const_cast<std::byte*>(bytes.data());
  return Ref<Buffer>::adopt(new (header)
                                BorrowedBuffer(device, bytes.size(), data, std::move(owner)));
}

}  // namespace troupe::cpu
