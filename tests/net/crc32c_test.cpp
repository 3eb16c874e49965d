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

TEST_CASE("the instruction and the tables agree, on pieces of any length", "[net]") {
  std::vector<std::byte> bytes(10'000);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * i * 31 + 7);
  const std::span<const std::byte> all(bytes);
  for (std::size_t begin = 0; begin < 9; ++begin)
    for (std::size_t end = begin; end < 80; ++end)
      CHECK(
          crc32c(all.subspan(begin, end - begin)) ==
          crc32c_by_tables(all.subspan(begin, end - begin)));
  // Around the lengths from which strips go side by side.
  for (std::size_t end = 3060; end < 3090; ++end)
    CHECK(crc32c(all.subspan(1, end)) == crc32c_by_tables(all.subspan(1, end)));
  CHECK(crc32c(all) == crc32c_by_tables(all));
  for (const std::size_t cut : {0U, 1U, 7U, 8U, 500U, 999U, 3073U, 9999U, 10'000U}) {
    CHECK(crc32c(all.subspan(cut), crc32c(all.first(cut))) == crc32c(all));
    CHECK(crc32c_by_tables(all.subspan(cut), crc32c_by_tables(all.first(cut))) == crc32c(all));
  }
}

}  // namespace troupe::net
