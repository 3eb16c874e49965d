#pragma once

#include <troupe/core/disk.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace troupe::data {

/// Bytes read once from front to back, from a plain or a gzip-compressed file.
///
/// Memory    a fixed buffer of 64 KiB; nothing that a file says makes it larger.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Fills `into` as far as the content reaches and returns how many bytes that were: fewer than
  /// asked only at the end. `file_corrupt` when the compressed form is damaged.
  virtual Result<std::size_t> read(std::span<std::byte> into) = 0;

  /// No more bytes than this can still come: exact for a plain file, for a compressed one what
  /// deflate's best ratio (1032 to 1) would make of the bytes that are left.
  [[nodiscard]] virtual std::uint64_t bytes_left_max() const = 0;
};

/// Opens `path`; compressed when its first two bytes are gzip's.
[[nodiscard]] Result<std::unique_ptr<ByteSource>> open_byte_source(
    Disk& disk, const std::string& path);

}  // namespace troupe::data
