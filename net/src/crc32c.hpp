#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace troupe::net {

/// CRC-32C (Castagnoli's polynomial; RFC 3720, appendix B.4) of the bytes behind those whose
/// checksum is `crc`. The fastest of `crc32c_ways`.
[[nodiscard]] std::uint32_t crc32c(
    std::span<const std::byte> bytes, std::uint32_t crc = 0) noexcept;

using Crc32c = std::uint32_t (*)(std::span<const std::byte> bytes, std::uint32_t crc) noexcept;
/// The ways to make it that this processor has, the fastest first; the last goes by tables. All
/// give the same.
[[nodiscard]] std::span<const Crc32c> crc32c_ways() noexcept;

}  // namespace troupe::net
