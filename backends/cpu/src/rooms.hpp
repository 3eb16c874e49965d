#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <thread>

namespace troupe::cpu {

/// Memory for what a chunk needs while it runs, more than a stack should hold and too much to give
/// each chunk its own: a few rooms in the launch's scratch, of which a running chunk takes the
/// first that is free. So a thread finds the room that it used last, still in its cache, and rooms
/// that no thread needs are never touched.
///
/// Threads   any number; those that find no room wait for one, and a chunk in a room waits for
///           nobody.
/// Bits      do not depend on the room, as long as a chunk reads only what it wrote there itself.
template <class A>
class Room {
 public:
  static constexpr std::int64_t count_max = 32;
  /// Bytes before the first room.
  static constexpr std::size_t head_bytes = 64;

  /// How many rooms of `bytes` so many chunks get: fewer of large ones.
  [[nodiscard]] static std::int64_t count(std::int64_t chunks, std::size_t bytes) noexcept {
    const auto most = static_cast<std::int64_t>((std::size_t{16} << 20) / bytes);
    return std::min(chunks, std::clamp<std::int64_t>(most, count_max / 2, count_max));
  }
  /// Makes all rooms free; in a phase before the chunks'.
  static void open(std::byte* head) noexcept { new (head) Taken(0); }

  /// Takes one of `count` rooms of `bytes` (a multiple of 64) that lie behind `head`.
  Room(std::byte* head, std::int64_t count, std::size_t bytes) noexcept
      : taken_(*std::launder(reinterpret_cast<Taken*>(head))) {
    const std::uint64_t all = (std::uint64_t{1} << count) - 1;
    std::uint64_t taken = taken_.load(std::memory_order_relaxed);
    for (;;) {
      const std::uint64_t free = ~taken & all;
      if (free == 0) {
        std::this_thread::yield();
        taken = taken_.load(std::memory_order_relaxed);
        continue;
      }
      bit_ = free & -free;
      if (taken_.compare_exchange_weak(taken, taken | bit_, std::memory_order_acquire)) break;
    }
    data_ = head + head_bytes + bytes * static_cast<std::size_t>(std::countr_zero(bit_));
  }
  ~Room() { taken_.fetch_and(~bit_, std::memory_order_release); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  [[nodiscard]] std::byte* data() const noexcept { return data_; }

 private:
  using Taken = std::atomic<std::uint64_t>;

  Taken& taken_;
  std::uint64_t bit_ = 0;
  std::byte* data_ = nullptr;
};

}  // namespace troupe::cpu
