#include "files.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/idx.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstring>
#include <string>
#include <vector>

namespace {

namespace data = troupe::data;
using data::test::big_endian;
using data::test::bytes_of;
using data::test::counting;
using data::test::gzipped;
using data::test::idx_header;
using troupe::DType;
using troupe::ErrorCode;
using troupe::sim::MemoryDisk;

troupe::Result<data::IdxArray> read(const std::string& content, std::uint64_t bytes_max = 1 << 30) {
  MemoryDisk disk;
  disk.put("f", bytes_of(content));
  return data::read_idx(disk, "f", bytes_max);
}

template <class T>
std::vector<T> values_of(const data::IdxArray& array) {
  std::vector<T> values(array.bytes.size() / sizeof(T));
  std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

}  // namespace

TEST_CASE("IDX files are read, plain and compressed", "[data]") {
  const std::string file = idx_header(8, {2, 3, 4}) + counting(24);
  for (const std::string& content : {file, gzipped(file)}) {
    const auto array = read(content).value();
    CHECK(array.dtype == DType::uint8);
    CHECK(array.shape == troupe::Shape{2, 3, 4});
    CHECK(values_of<std::uint8_t>(array)[23] == 23);
  }
}

TEST_CASE("IDX elements come in the machine's byte order", "[data]") {
  const auto ints = read(idx_header(0x0c, {2}) + big_endian(7) + big_endian(0xfffffffe)).value();
  CHECK(ints.dtype == DType::int32);
  CHECK(values_of<std::int32_t>(ints) == std::vector<std::int32_t>{7, -2});
  const auto floats = read(idx_header(0x0d, {1}) + big_endian(0x3fc00000)).value();
  CHECK(floats.dtype == DType::float32);
  CHECK(values_of<float>(floats) == std::vector<float>{1.5F});
  const auto doubles = read(idx_header(0x0e, {1}) + big_endian(0xc004000000000000, 8)).value();
  CHECK(doubles.dtype == DType::float64);
  CHECK(values_of<double>(doubles) == std::vector<double>{-2.5});
}

TEST_CASE("an IDX file may be empty", "[data]") {
  const auto array = read(idx_header(8, {0, 28, 28})).value();
  CHECK(array.shape == troupe::Shape{0, 28, 28});
  CHECK(array.bytes.empty());
}

TEST_CASE("hostile IDX files are typed errors", "[data]") {
  struct Case {
    const char* what;
    std::string content;
    ErrorCode code;
    std::string message;  ///< its beginning
  };
  const std::string good = idx_header(8, {2, 3}) + counting(6);
  std::string bad_crc = gzipped(good);
  bad_crc[bad_crc.size() - 5] ^= 1;
  std::string bad_block = gzipped(good);
  bad_block[10] ^= 6;
  const Case cases[] = {
      {"empty", "", ErrorCode::file_truncated, "f: at byte 0: the file ends within the magic"},
      {"short magic", good.substr(0, 3), ErrorCode::file_truncated, "f: at byte 3: "},
      {"bad magic", "PNG" + good, ErrorCode::file_corrupt, "f: at byte 0: not an IDX file"},
      {"bad second byte",
       std::string("\0\1\10\1", 4),
       ErrorCode::file_corrupt,
       "f: at byte 0: not"},
      {"unknown type",
       idx_header(0x42, {1}),
       ErrorCode::file_corrupt,
       "f: at byte 2: type code 66 is none of the format's"},
      {"int8",
       idx_header(0x09, {1}),
       ErrorCode::unsupported,
       "f: at byte 2: elements of type int8"},
      {"int16", idx_header(0x0b, {1}), ErrorCode::unsupported, "f: at byte 2: elements of type"},
      {"no dimensions", idx_header(8, {}), ErrorCode::file_corrupt, "f: at byte 3: 0 dimensions"},
      {"nine dimensions",
       idx_header(8, std::vector<std::uint32_t>(9, 1)),
       ErrorCode::file_corrupt,
       "f: at byte 3: 9 dimensions"},
      {"short sizes",
       good.substr(0, 9),
       ErrorCode::file_truncated,
       "f: at byte 9: the file ends within the dimensions, 3 bytes too early"},
      {"product overflows",
       idx_header(8, std::vector<std::uint32_t>(8, 0xffffffff)),
       ErrorCode::file_corrupt,
       "f: at byte 4: the product of dimensions ["},
      {"product overflows before a zero",
       idx_header(8, {0xffffffff, 0xffffffff, 0xffffffff, 0}),
       ErrorCode::file_corrupt,
       "f: at byte 4: the product of dimensions ["},
      {"more than the file holds",
       idx_header(8, {0xffffffff, 2}) + "x",
       ErrorCode::file_truncated,
       "f: at byte 12: dimensions [4294967295, 2] need 8589934590 bytes, but at most 1 can follow"},
      {"one byte short",
       good.substr(0, good.size() - 1),
       ErrorCode::file_truncated,
       "f: at byte 12"},
      {"one byte long",
       good + "x",
       ErrorCode::file_corrupt,
       "f: at byte 18: bytes follow the last element"},
      {"compressed, one byte short",
       gzipped(good.substr(0, good.size() - 1)),
       ErrorCode::file_truncated,
       "f: at byte 17: the file ends within the elements, 1 bytes too early"},
      {"compressed, one byte long",
       gzipped(good + "x"),
       ErrorCode::file_corrupt,
       "f: at byte 18: "},
      {"wrong checksum",
       bad_crc,
       ErrorCode::file_corrupt,
       "f: at byte " + std::to_string(bad_crc.size() - 4) +
           ": the compressed stream is not sound: incorrect data check"},
      {"damaged block", bad_block, ErrorCode::file_corrupt, "f: at byte "},
      {"bytes after the compressed stream",
       gzipped(good) + "x",
       ErrorCode::file_corrupt,
       "f: at byte "},
      {"two compressed streams",
       gzipped(good) + gzipped(good),
       ErrorCode::file_corrupt,
       "f: at byte "},
      {"nothing but gzip's magic", "\x1f\x8b", ErrorCode::file_truncated, "f: at byte 2: "},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.what);
    const auto array = read(wrong.content);
    REQUIRE_FALSE(array.ok());
    CHECK(to_string(array.error().code()) == to_string(wrong.code));
    CHECK(array.error().message().substr(0, wrong.message.size()) == wrong.message);
  }
}

TEST_CASE("every prefix of a compressed IDX file is truncated", "[data]") {
  const std::string file = gzipped(idx_header(8, {20, 3}) + counting(60));
  for (std::size_t size = 0; size < file.size(); ++size) {
    CAPTURE(size);
    const auto array = read(file.substr(0, size));
    REQUIRE_FALSE(array.ok());
    // A single byte is no gzip file yet, but no IDX file either.
    CHECK(array.error().code() == ErrorCode::file_truncated);
    CHECK(array.error().message().starts_with("f: at byte "));
  }
}

// Goal: a small compressed file that claims or unpacks to very much costs next to nothing.
TEST_CASE("a gzip bomb is refused for what its header says", "[data]") {
  const std::string zeros(8 << 20, '\0');
  // The header claims ten bytes, the stream goes on for 8 MiB: one byte past the claim is read.
  const auto longer = read(gzipped(idx_header(8, {10}) + zeros));
  REQUIRE_FALSE(longer.ok());
  CHECK(
      longer.error().message() ==
      "f: at byte 18: bytes follow the last element that the header counts");
  // The header claims more than deflate can make of what is there.
  const auto larger = read(gzipped(idx_header(8, {0xffffffff, 0xffff}) + counting(100)));
  REQUIRE_FALSE(larger.ok());
  CHECK(larger.error().code() == ErrorCode::file_truncated);
  // A claim that the stream could keep is held against the caller's bound.
  const auto bound = read(gzipped(idx_header(8, {8 << 20}) + zeros), 1 << 20);
  REQUIRE_FALSE(bound.ok());
  CHECK(bound.error().code() == ErrorCode::file_io);
  CHECK(
      bound.error().message() ==
      "f: at byte 4: dimensions [8388608] need 8388608 bytes, more than the 1048576 that are read "
      "here");
}

TEST_CASE("a missing IDX file is not found", "[data]") {
  MemoryDisk disk;
  const auto array = data::read_idx(disk, "missing");
  REQUIRE_FALSE(array.ok());
  CHECK(array.error().code() == ErrorCode::file_not_found);
}
