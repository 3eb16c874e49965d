#include "files.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/text.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace {

namespace data = troupe::data;
using data::test::bytes_of;
using data::test::gzipped;
using troupe::ErrorCode;
using troupe::sim::MemoryDisk;

/// Lines that differ, so that a cut shows.
std::string lines(std::size_t bytes) {
  std::string text;
  for (int i = 0; text.size() < bytes; ++i) text += "line " + std::to_string(i) + "\n";
  text.resize(bytes);
  return text;
}

std::string text_of(const data::Text& text) {
  return {reinterpret_cast<const char*>(text.bytes.data()), text.bytes.size()};
}

troupe::Error error_of(const std::string& content, std::int64_t context = 4) {
  MemoryDisk disk;
  disk.put("t", bytes_of(content));
  const auto dataset = data::open_text_dataset(disk, "t", context);
  REQUIRE_FALSE(dataset);
  CHECK(dataset.error().message().starts_with("t: "));
  return dataset.error();
}

}  // namespace

TEST_CASE("a text is split into nine tenths and one, plain or compressed", "[data]") {
  MemoryDisk disk;
  const std::string text = lines(3'000'007);  // several pieces
  disk.put("plain", bytes_of(text));
  disk.put("packed.gz", bytes_of(gzipped(text)));
  for (const std::string path : {"plain", "packed.gz"}) {
    CAPTURE(path);
    const auto dataset = data::open_text_dataset(disk, path, 128).value();
    CHECK(dataset.name == path);
    CHECK(text_of(*dataset.train) + text_of(*dataset.test) == text);
    CHECK(dataset.test->bytes.size() == 300'000);
  }
}

TEST_CASE("another text of the same length is told apart", "[data]") {
  MemoryDisk disk;
  disk.put("a", bytes_of("123456789" + lines(991)));
  disk.put("b", bytes_of("123456788" + lines(991)));
  const auto crc = [&](const char* path) {
    return data::open_text_dataset(disk, path, 4).value().crc32;
  };
  CHECK(crc("a") != crc("b"));
  disk.put("check", bytes_of("123456789" + std::string(91, ' ')));
  disk.put("same.gz", bytes_of(gzipped("123456789" + std::string(91, ' '))));
  CHECK(crc("check") == crc("same.gz"));
}

TEST_CASE("what is no text is refused, with the place and a hint", "[data]") {
  const auto empty = error_of("");
  CHECK(empty.code() == ErrorCode::file_mismatch);
  CHECK(empty.message() == "t: is empty");
  CHECK_FALSE(empty.hint().empty());

  std::string with_nul = lines(2'000'000);
  with_nul[1'500'000] = '\0';
  const auto nul = error_of(with_nul);
  CHECK(nul.code() == ErrorCode::file_mismatch);
  CHECK(nul.message() == "t: at byte 1500000: a NUL byte, which no text has");
  CHECK(nul.hint().find("UTF-16") != std::string::npos);

  // Eleven control bytes in a thousand are too many, ten are not; those of text do not count.
  std::string controls = lines(1000);
  for (std::size_t i = 0; i < 11; ++i) controls[50 * i] = static_cast<char>(i % 2 ? 1 : 0x7f);
  const auto control = error_of(controls);
  CHECK(control.code() == ErrorCode::file_mismatch);
  CHECK(control.message() == "t: is no text: 11 of its first 1000 bytes are control bytes");
  controls[0] = 'x';
  for (std::size_t i = 0; i < 100; ++i) controls[50 + i] = "\t\n\v\f\r\x1b\x80\xff"[i % 8];
  MemoryDisk disk;
  disk.put("t", bytes_of(controls));
  CHECK(data::open_text_dataset(disk, "t", 4));
}

TEST_CASE("a text must have a window in each of its two parts", "[data]") {
  const auto error = error_of(lines(1289), 128);
  CHECK(error.code() == ErrorCode::file_mismatch);
  CHECK(
      error.message() ==
      "t: has 1289 bytes, whose last tenth, on which is tested, has no window of 129");
  CHECK(error.hint() == "give a text of at least 1290 bytes, or a smaller context");
  MemoryDisk disk;
  disk.put("t", bytes_of(lines(1290)));
  CHECK(data::open_text_dataset(disk, "t", 128));
  CHECK(data::open_text_dataset(disk, "t", 0).error().code() == ErrorCode::invalid_argument);
  CHECK(data::open_text_dataset(disk, "u", 4).error().code() == ErrorCode::file_not_found);
}

TEST_CASE("a compressed text takes no more memory than it may", "[data]") {
  MemoryDisk disk;
  disk.put("t.gz", bytes_of(gzipped(std::string(8 << 20, 'x'))));
  const auto dataset = data::open_text_dataset(disk, "t.gz", 4, 1 << 20);
  REQUIRE_FALSE(dataset);
  CHECK(dataset.error().code() == ErrorCode::file_mismatch);
  CHECK(dataset.error().message() == "t.gz: has more than 1048576 bytes");
  CHECK(data::open_text_dataset(disk, "t.gz", 4, 8 << 20));
}

TEST_CASE("a damaged compressed text is told", "[data]") {
  const std::string packed = gzipped(lines(10'000));
  CHECK(error_of(packed.substr(0, packed.size() / 2)).code() == ErrorCode::file_truncated);
  std::string flipped = packed;
  flipped[packed.size() - 5] ^= 1;
  CHECK(error_of(flipped).code() == ErrorCode::file_corrupt);
}
