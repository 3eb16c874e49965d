#pragma once

#include <troupe/core/result.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::io {

/// The list of a save's files with their sizes and checksums, as a text of lines:
///
///   troupe checkpoint 1
///   meta.json 118 5f2c1a09
///   state.safetensors 104857712 00d1e2c3
///   crc 8b5e0f77
///
/// The last line is the checksum of all before it, so a bit flipped in the manifest shows as well.
struct Manifest {
  struct File {
    std::string name;
    std::uint64_t bytes = 0;
    std::uint32_t crc = 0;
  };
  std::vector<File> files;

  /// The file of that name, or null.
  [[nodiscard]] const File* find(std::string_view name) const noexcept;
};

/// No manifest is longer: it lists a handful of files.
inline constexpr std::uint64_t manifest_bytes_max = 4096;

/// CRC-32 (of zlib, of gzip, of PNG) of what came before, `crc`, and of `bytes` after it.
[[nodiscard]] std::uint32_t crc32_of(
    std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;

[[nodiscard]] std::string to_text(const Manifest& manifest);

/// Errors   `file_corrupt` with path, byte offset and reason; `file_mismatch` for a later format.
[[nodiscard]] Result<Manifest> parse_manifest(std::string_view text, const std::string& path);

}  // namespace troupe::io
