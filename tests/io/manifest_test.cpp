#include "bytes.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/io/checkpoint.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace {

namespace io = troupe::io;
using io::test::bytes_of;
using troupe::ErrorCode;
using troupe::sim::MemoryDisk;

const std::string path = "c/save-000001/manifest";

void save(MemoryDisk& disk) {
  io::Archive archive;
  archive.meta["step"] = 1;
  REQUIRE(io::save_checkpoint(disk, "c", archive).ok());
}

std::string text_of(MemoryDisk& disk) {
  const auto bytes = disk.read_all(path).value();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

troupe::Error error_with(MemoryDisk& disk, const std::string& manifest) {
  disk.put(path, bytes_of(manifest));
  const auto loaded = io::load_checkpoint(disk, "c");
  REQUIRE_FALSE(loaded.ok());
  return loaded.error();
}

}  // namespace

TEST_CASE("a manifest lists files with size and checksum, and its own", "[io]") {
  MemoryDisk disk;
  save(disk);
  // meta.json is {"step": 1} on three lines; its CRC-32 is Python's zlib.crc32 of the same bytes.
  CHECK(text_of(disk).starts_with(
      "troupe checkpoint 1\nmeta.json 16 a5994b0b\nstate.safetensors 16 "));
  CHECK(io::load_checkpoint(disk, "c").ok());
}

TEST_CASE("a manifest that is not whole is corrupt", "[io]") {
  MemoryDisk disk;
  save(disk);
  const std::string good = text_of(disk);
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    const auto error = error_with(disk, good.substr(0, size));
    CHECK(error.code() == ErrorCode::file_corrupt);
    CHECK(error.message().starts_with(path + ": at byte "));
  }
  for (const std::string& wrong :
       {good + "x", good + "\n", "x" + good, std::string(4096, '\n'), std::string(4096, 'a')}) {
    CHECK(error_with(disk, wrong).code() == ErrorCode::file_corrupt);
  }
  CHECK(error_with(disk, std::string(4097, 'a')).code() == ErrorCode::file_io);
}

TEST_CASE("a manifest of a later format says so", "[io]") {
  MemoryDisk disk;
  save(disk);
  const auto error = error_with(disk, "troupe checkpoint 2\nanything\n");
  CHECK(error.code() == ErrorCode::file_mismatch);
  CHECK(error.message() == path + ": has checkpoint format 2, where this build reads 1");
}

TEST_CASE("a manifest that does not list a file is corrupt", "[io]") {
  MemoryDisk disk;
  save(disk);
  // Sound in itself: the checksum of its one line, by Python's zlib.crc32.
  const auto error = error_with(disk, "troupe checkpoint 1\ncrc 1a5861f6\n");
  CHECK(error.code() == ErrorCode::file_corrupt);
  CHECK(error.message() == path + ": at byte 0: does not list meta.json");
}
