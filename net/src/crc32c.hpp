#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::net {

/// CRC-32C (Castagnoli's polynomial; RFC 3720, appendix B.4) of the bytes behind those whose
/// checksum is `crc`. By the processor's own instruction where it has one.
[[nodiscard]] std::uint32_t crc32c(
    std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;

/// The same by tables, on any processor.
[[nodiscard]] std::uint32_t crc32c_by_tables(
    std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;

}  // namespace troupe::net
