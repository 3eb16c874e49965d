#pragma once

#include <troupe/core/disk.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace troupe::data {

/// A text as its bytes, whatever characters they stand for. Immutable once loaded, and then shared
/// by all who read batches from it.
struct Text {
  std::vector<std::byte> bytes;
};

/// A text in two parts: its first nine tenths to train on, and what is left to test on.
struct TextDataset {
  std::string name;  ///< the path it was opened by
  std::shared_ptr<const Text> train;
  std::shared_ptr<const Text> test;
  std::uint32_t crc32 = 0;  ///< of the whole: whether it is the same text as before
};

/// Windows of context + 1 bytes that a text of so many has, one after another, each beginning with
/// the byte that the one before it ended with: so each byte but the first is to be guessed once.
[[nodiscard]] constexpr std::int64_t windows_in(std::int64_t bytes, std::int64_t context) noexcept {
  return bytes > 0 ? (bytes - 1) / context : 0;
}

/// Reads a text, plain or gzip-compressed, for models that see `context` bytes at a time.
///
/// Errors   `invalid_argument` for a context below 1; `file_not_found`; `file_corrupt` and
///          `file_truncated` for a compressed file that is damaged; `file_mismatch`, with a hint,
///          for a text that is empty, larger than `bytes_max`, too short for a window in each of
///          the two parts, or none: one that has a NUL byte anywhere, or among its first MiB
///          more than one control byte in a hundred (0x01 to 0x1f and 0x7f, but tab, line feed,
///          vertical tab, form feed, carriage return and escape).
///
/// @param bytes_max  what bounds the memory that a compressed file may ask for; 4 GiB are far more
///                   than one run reads
[[nodiscard]] Result<TextDataset> open_text_dataset(
    Disk& disk,
    const std::string& path,
    std::int64_t context,
    std::uint64_t bytes_max = std::uint64_t{1} << 32);

}  // namespace troupe::data
