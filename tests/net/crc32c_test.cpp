#include "crc32c.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace troupe::net {
namespace {

std::uint32_t of(std::string_view text) { return crc32c(std::as_bytes(std::span(text))); }

}  // namespace

// RFC 3720, appendix B.4, and the check value of the catalogue of CRCs.
TEST_CASE("checksums are those of the standard", "[net]") {
  CHECK(of("") == 0);
  CHECK(of("123456789") == 0xe3069283);
  CHECK(
      of(std::string_view(
          "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 32)) == 0x8a9136aa);
  std::vector<std::byte> bytes(32);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i);
  CHECK(crc32c(bytes) == 0x46dd794e);
}

// Goal: whichever processor computes it, a checksum is the same.
// Method: each way that this one has against the tables, around the lengths from which blocks are
// folded, at any alignment, and in two parts.
TEST_CASE("all ways to make a checksum agree, on pieces of any length", "[net]") {
  std::vector<std::byte> bytes(10'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i * 31 + 7);
  const std::span<const std::byte> all(bytes);
  const Crc32c by_tables = crc32c_ways().back();
  for (const Crc32c way : crc32c_ways()) {
    for (std::size_t length = 0; length < 1100; ++length)
      CHECK(
          way(all.subspan(length % 65, length), 7) ==
          by_tables(all.subspan(length % 65, length), 7));
    for (const std::size_t cut : {0U, 1U, 7U, 8U, 500U, 999U, 3073U, 9999U, 10'000U})
      CHECK(way(all.subspan(cut), way(all.first(cut), 0)) == by_tables(all, 0));
  }
  CHECK(crc32c(all) == by_tables(all, 0));
}

}  // namespace troupe::net
