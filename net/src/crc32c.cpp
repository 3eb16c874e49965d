#include "crc32c.hpp"

#include "little_endian.hpp"

#include <array>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace troupe::net {

namespace {

/// tables[i][b]: what a byte b does to the checksum when i more bytes follow it.
using Tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr Tables make_tables() {
  constexpr std::uint32_t polynomial = 0x82f63b78;  // Castagnoli's, the lowest bit first
  Tables tables{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? polynomial : 0);
    tables[0][byte] = crc;
  }
  for (std::size_t i = 1; i < tables.size(); ++i)
    for (std::uint32_t byte = 0; byte < 256; ++byte)
      tables[i][byte] = tables[i - 1][byte] >> 8 ^ tables[0][tables[i - 1][byte] & 255];
  return tables;
}

constexpr Tables tables = make_tables();

#if defined(__x86_64__)
/// What `zeros` bytes of zero make of a checksum, byte by byte of the checksum.
using Shift = std::array<std::array<std::uint32_t, 256>, 4>;

constexpr Shift make_shift(std::size_t zeros) {
  // Column i is what becomes of bit i: first over one byte, then twice as far each time.
  std::array<std::uint32_t, 32> columns{};
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::uint32_t crc = std::uint32_t{1} << i;
    columns[i] = crc >> 8 ^ tables[0][crc & 255];
  }
  const auto times = [&columns](std::uint32_t crc) {
    std::uint32_t product = 0;
    for (std::size_t i = 0; crc != 0; ++i, crc >>= 1)
      if (crc & 1) product ^= columns[i];
    return product;
  };
  for (std::size_t bytes = 1; bytes < zeros; bytes *= 2) {
    std::array<std::uint32_t, 32> twice{};
    for (std::size_t i = 0; i < columns.size(); ++i) twice[i] = times(columns[i]);
    columns = twice;
  }
  Shift shift{};
  for (std::size_t place = 0; place < shift.size(); ++place)
    for (std::uint32_t byte = 0; byte < 256; ++byte) shift[place][byte] = times(byte << 8 * place);
  return shift;
}

/// A power of two: an instruction's result takes three cycles, so three strips of a piece go side
/// by side, and this is how long each is.
constexpr std::size_t strip_bytes = 1024;
constexpr Shift over_strip = make_shift(strip_bytes);

std::uint64_t shift_over_strip(std::uint64_t crc) noexcept {
  return over_strip[0][crc & 255] ^ over_strip[1][crc >> 8 & 255] ^ over_strip[2][crc >> 16 & 255] ^
         over_strip[3][crc >> 24 & 255];
}

__attribute__((target("sse4.2"))) std::uint32_t crc32c_by_instruction(
    std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  std::uint64_t wide = ~crc;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 3 * strip_bytes; at += 3 * strip_bytes, left -= 3 * strip_bytes) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < strip_bytes; i += 8) {
      wide = _mm_crc32_u64(wide, get_number<std::uint64_t>(at + i));
      second = _mm_crc32_u64(second, get_number<std::uint64_t>(at + strip_bytes + i));
      third = _mm_crc32_u64(third, get_number<std::uint64_t>(at + 2 * strip_bytes + i));
    }
    wide = shift_over_strip(shift_over_strip(wide) ^ second) ^ third;
  }
  for (; left >= 8; at += 8, left -= 8) wide = _mm_crc32_u64(wide, get_number<std::uint64_t>(at));
  auto narrow = static_cast<std::uint32_t>(wide);
  for (; left > 0; ++at, --left) narrow = _mm_crc32_u8(narrow, static_cast<std::uint8_t>(*at));
  return ~narrow;
}
#endif

}  // namespace

std::uint32_t crc32c_by_tables(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
  crc = ~crc;
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    const std::uint64_t mixed = get_number<std::uint64_t>(at) ^ crc;
    crc = 0;
    for (std::size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][mixed >> 8 * i & 255];
  }
  for (; left > 0; ++at, --left)
    crc = crc >> 8 ^ tables[0][(crc ^ static_cast<std::uint32_t>(*at)) & 255];
  return ~crc;
}

std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t crc) noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return crc32c_by_instruction(bytes, crc);
#endif
  return crc32c_by_tables(bytes, crc);
}

}  // namespace troupe::net
