#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

namespace troupe {

/// Memory for bytes that messages carry. The kernel clears fresh memory page by page, which takes
/// as long as writing it, and the C library gives back even little of it, to ask for it again at
/// once. So a buffer that nobody holds any more is used again, the last one first: it may be in the
/// cache still.
///
/// Threads   any; a buffer comes back on the thread that drops it last.
/// Bound     keeps `kept_bytes_max` at most, in 256 buffers.
class Buffers : public std::enable_shared_from_this<Buffers> {
 public:
  explicit Buffers(std::size_t kept_bytes_max) : kept_bytes_max_(kept_bytes_max) {}

  /// At least so many bytes, of any content, aligned to 64.
  [[nodiscard]] std::shared_ptr<std::byte> take(std::size_t bytes);

  [[nodiscard]] std::size_t kept_bytes() const;

 private:
  struct Free {
    void operator()(std::byte* memory) const noexcept;
  };
  struct Kept {
    std::unique_ptr<std::byte, Free> memory;
    std::size_t bytes;
  };
  void give_back(std::byte* memory, std::size_t bytes) noexcept;

  const std::size_t kept_bytes_max_;
  mutable std::mutex mutex_;
  std::vector<Kept> kept_;  // the longest unused first
  std::size_t kept_bytes_ = 0;
};

}  // namespace troupe
