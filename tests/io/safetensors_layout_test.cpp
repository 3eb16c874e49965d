#include "bytes.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/io/safetensors.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace {

namespace io = troupe::io;
using io::test::bytes_of;
using io::test::little_endian;
using io::test::safetensors_file;
using troupe::ErrorCode;

struct Case {
  const char* what;
  std::string file;
  ErrorCode code;
  std::string message;  ///< its beginning
};

std::string entry(
    const std::string& name,
    const std::string& dtype,
    const std::string& shape,
    const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":" + offsets + "}";
}

std::string file_of(const std::string& entries, std::size_t data_bytes) {
  return safetensors_file("{" + entries + "}", std::string(data_bytes, '\0'));
}

}  // namespace

// Each file is refused with path, offset and reason, from disk and from memory alike.
TEST_CASE("hostile safetensors headers are typed errors", "[io]") {
  const std::string good = entry("w", "F32", "[1]", "[0,4]");
  const auto corrupt = ErrorCode::file_corrupt;
  const auto truncated = ErrorCode::file_truncated;
  const Case cases[] = {
      {"empty", "", truncated, "f: at byte 0: a safetensors file begins with 8 bytes"},
      {"header beyond the file",
       little_endian(100) + "{}",
       truncated,
       "f: at byte 0: a header of 100 bytes in a file of 10"},
      {"header of 2^64-1 bytes",
       little_endian(~0ULL) + "{}",
       corrupt,
       "f: at byte 0: a header of 18446744073709551615 bytes"},
      {"header above the limit",
       little_endian(100'000'001) + "{}",
       corrupt,
       "f: at byte 0: a header of 100000001 bytes"},
      {"no header", little_endian(0), corrupt, "f: at byte 8: the header does not begin with '{'"},
      {"header of a list",
       safetensors_file("[]"),
       corrupt,
       "f: at byte 8: the header does not begin with '{'"},
      {"space before the header",
       safetensors_file(" {}"),
       corrupt,
       "f: at byte 8: the header does not begin"},
      {"no JSON", safetensors_file("{\"w\":"), corrupt, "f: at byte "},
      {"bytes after the JSON", safetensors_file("{} x"), corrupt, "f: at byte "},
      {"null for a tensor",
       safetensors_file("{\"w\":null}"),
       corrupt,
       "f: at byte 17: null stands where"},
      {"number for a tensor", safetensors_file("{\"w\":1}"), corrupt, "f: at byte "},
      {"list for a tensor", safetensors_file("{\"w\":[]}"), corrupt, "f: at byte "},
      {"tensor twice", file_of(good + "," + good, 4), corrupt, "f: at byte "},
      {"field twice",
       safetensors_file("{\"w\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}"),
       corrupt,
       "f: at byte "},
      {"unknown field",
       safetensors_file("{\"w\":{\"x\":\"F32\"}}"),
       corrupt,
       "f: at byte 17: 'w' has the unknown field 'x'"},
      {"field missing", safetensors_file("{\"w\":{\"dtype\":\"F32\"}}"), corrupt, "f: at byte "},
      {"unknown dtype",
       file_of(entry("w", "F31", "[1]", "[0,4]"), 4),
       corrupt,
       "f: at byte 27: 'w' has the unknown dtype 'F31'"},
      {"dtype that Troupe lacks",
       file_of(entry("w", "U32", "[1]", "[0,4]"), 4),
       ErrorCode::unsupported,
       "f: at byte 27: 'w' has dtype U32, which Troupe has not"},
      {"negative size", file_of(entry("w", "F32", "[-1]", "[0,4]"), 4), corrupt, "f: at byte "},
      {"size that is no integer",
       file_of(entry("w", "F32", "[1.5]", "[0,4]"), 4),
       corrupt,
       "f: at byte "},
      {"size NaN", file_of(entry("w", "F32", "[NaN]", "[0,4]"), 4), corrupt, "f: at byte "},
      {"size above 2^63",
       file_of(entry("w", "F32", "[9223372036854775808]", "[0,4]"), 4),
       corrupt,
       "f: at byte "},
      {"size above 2^64",
       file_of(entry("w", "F32", "[18446744073709551617]", "[0,4]"), 4),
       corrupt,
       "f: at byte "},
      {"product overflows",
       file_of(entry("w", "F32", "[4294967296,4294967296,4294967296]", "[0,4]"), 4),
       corrupt,
       "f: at byte "},
      {"product overflows before a zero",
       file_of(entry("w", "F32", "[4294967296,4294967296,0]", "[0,0]"), 0),
       corrupt,
       "f: at byte "},
      {"nine dimensions",
       file_of(entry("w", "F32", "[1,1,1,1,1,1,1,1,1]", "[0,4]"), 4),
       ErrorCode::unsupported,
       "f: at byte "},
      {"nested shape", file_of(entry("w", "F32", "[[1]]", "[0,4]"), 4), corrupt, "f: at byte "},
      {"deep nesting",
       safetensors_file("{\"w\":{\"dtype\":" + std::string(1'000'000, '[')),
       corrupt,
       "f: at byte "},
      {"three offsets", file_of(entry("w", "F32", "[1]", "[0,4,8]"), 4), corrupt, "f: at byte "},
      {"one offset", file_of(entry("w", "F32", "[1]", "[4]"), 4), corrupt, "f: at byte "},
      {"offsets reversed", file_of(entry("w", "F32", "[1]", "[4,0]"), 4), corrupt, "f: at byte "},
      {"offsets near 2^64",
       file_of(entry("w", "U8", "[1]", "[18446744073709551614,18446744073709551615]"), 4),
       corrupt,
       "f: at byte "},
      {"shape against offsets",
       file_of(entry("w", "F32", "[2]", "[0,4]"), 4),
       corrupt,
       "f: at byte "},
      {"tensor past the end",
       file_of(entry("w", "F32", "[2]", "[0,8]"), 4),
       truncated,
       "f: at byte "},
      {"gap", file_of(entry("w", "F32", "[1]", "[4,8]"), 8), corrupt, "f: at byte "},
      {"overlap",
       file_of(entry("v", "F32", "[2]", "[0,8]") + "," + entry("w", "F32", "[1]", "[4,8]"), 8),
       corrupt,
       "f: at byte "},
      {"same bytes twice",
       file_of(entry("v", "F32", "[1]", "[0,4]") + "," + entry("w", "F32", "[1]", "[0,4]"), 4),
       corrupt,
       "f: at byte "},
      {"bytes after the last tensor", file_of(good, 5), corrupt, "f: at byte "},
      {"metadata of another kind",
       safetensors_file("{\"__metadata__\":{\"a\":1}}"),
       corrupt,
       "f: at byte "},
      {"metadata that is no map",
       safetensors_file("{\"__metadata__\":\"x\"}"),
       corrupt,
       "f: at byte "},
      {"metadata nested",
       safetensors_file("{\"__metadata__\":{\"a\":{}}}"),
       corrupt,
       "f: at byte "},
      {"metadata name twice",
       safetensors_file("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}"),
       corrupt,
       "f: at byte "},
      {"metadata twice",
       safetensors_file("{\"__metadata__\":{},\"__metadata__\":{}}"),
       corrupt,
       "f: at byte "},
      {"bool that is 2",
       safetensors_file("{" + entry("w", "BOOL", "[2]", "[0,2]") + "}", "\1\2"),
       corrupt,
       "f: at byte 64: a bool of 'w' is 2"},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.what);
    troupe::sim::MemoryDisk disk;
    disk.put("f", bytes_of(wrong.file));
    const auto read = io::read_safetensors(disk, "f");
    REQUIRE_FALSE(read.ok());
    CHECK(to_string(read.error().code()) == to_string(wrong.code));
    CHECK(read.error().message().substr(0, wrong.message.size()) == wrong.message);
    CHECK(read.error().message().size() > wrong.message.size() - 1);
    CHECK(read.error().message().size() < 400);

    const auto parsed = io::parse_safetensors(
        std::make_shared<const std::vector<std::byte>>(io::test::copy_of(wrong.file)), "f");
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().message() == read.error().message());
  }
}

TEST_CASE("offsets name where a tensor's bytes go wrong", "[io]") {
  const std::string file = file_of(entry("w", "F32", "[1]", "[4,8]"), 8);
  const auto read = io::parse_safetensors(
      std::make_shared<const std::vector<std::byte>>(io::test::copy_of(file)), "f");
  REQUIRE_FALSE(read.ok());
  CHECK(
      read.error().message() == "f: at byte " + std::to_string(file.size() - 4) +
                                    ": 'w' at offsets [4, 8] leaves a gap after byte 0");
}
