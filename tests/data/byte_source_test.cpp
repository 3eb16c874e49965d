#include "files.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/idx.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace data = troupe::data;
using data::test::bytes_of;
using data::test::counting;
using data::test::gzipped;
using data::test::idx_header;
using troupe::sim::MemoryDisk;

// Through read_idx: whatever the form of the file, the same bytes come out of it.
TEST_CASE("content longer than the buffer comes out whole", "[data]") {
  // Not compressible, so that the compressed form too takes many buffers to read.
  std::string content;
  std::uint64_t state = 1;
  for (int i = 0; i < 600'000; ++i) {
    state = state * 6364136223846793005 + 1442695040888963407;
    content += static_cast<char>(state >> 56);
  }
  const std::string file = idx_header(8, {600'000}) + content;
  MemoryDisk disk;
  disk.put("plain", bytes_of(file));
  disk.put("named.gz", bytes_of(gzipped(file)));
  disk.put("plain.gz", bytes_of(file));  // the name does not matter, the first bytes do
  for (const char* path : {"plain", "named.gz", "plain.gz"}) {
    const auto array = data::read_idx(disk, path).value();
    REQUIRE(array.bytes.size() == content.size());
    CHECK(std::equal(array.bytes.begin(), array.bytes.end(), bytes_of(content).begin()));
  }
}

TEST_CASE("an operation that fails amid reading is returned", "[data]") {
  const std::string file = idx_header(8, {1000}) + counting(1000);
  for (const std::string& content : {file, gzipped(file)}) {
    for (std::uint64_t skip = 0; skip < 8; ++skip) {
      CAPTURE(skip);
      MemoryDisk disk;
      disk.put("f", bytes_of(content));
      disk.fail_one_operation(skip);
      const auto array = data::read_idx(disk, "f");
      if (!array) CHECK(array.error().code() == troupe::ErrorCode::file_io);
      CHECK((skip > 2 || !array.ok()));  // open, size and the first read at least
    }
  }
}
