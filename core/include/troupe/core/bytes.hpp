#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace troupe {

/// Immutable bytes with a shared owner: what a message carries of a value whose layout only its
/// module knows. A visitor for the wire sends them as they are; one that reads sets them.
///
/// Threads   any may read; the owner goes with the last copy.
class Bytes {
 public:
  Bytes() = default;
  /// Bytes that `owner` keeps alive.
  Bytes(std::span<const std::byte> bytes, std::shared_ptr<const void> owner) noexcept
      : bytes_(bytes), owner_(std::move(owner)) {}
  /// A copy of bytes that nobody keeps.
  [[nodiscard]] static Bytes copy_of(std::span<const std::byte> bytes) {
    std::shared_ptr<std::byte[]> copy(new std::byte[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), copy.get());
    const std::span<const std::byte> owned(copy.get(), bytes.size());
    return {owned, std::move(copy)};
  }

  [[nodiscard]] std::span<const std::byte> span() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t size() const noexcept { return bytes_.size(); }

 private:
  std::span<const std::byte> bytes_;
  std::shared_ptr<const void> owner_;
};

}  // namespace troupe
