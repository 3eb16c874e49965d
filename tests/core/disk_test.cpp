#include <troupe/core/disk.hpp>
#include <troupe/core/sim_disk.hpp>

#include <catch2/catch_test_macros.hpp>

#include <span>
#include <string>
#include <string_view>

namespace {

using troupe::ErrorCode;
using troupe::sim::Crash;
using troupe::sim::MemoryDisk;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text_of(troupe::Disk& disk, const std::string& path) {
  auto bytes = disk.read_all(path);
  if (!bytes) return "(" + std::string(to_string(bytes.error().code())) + ")";
  return {reinterpret_cast<const char*>(bytes.value().data()), bytes.value().size()};
}

}  // namespace

TEST_CASE("read_all refuses a file larger than the caller's bound", "[core][disk]") {
  MemoryDisk disk;
  disk.put("folder/file", bytes_of("12345"));
  CHECK(text_of(disk, "folder/file") == "12345");
  CHECK(disk.read_all("folder/file", 5).ok());
  const auto refused = disk.read_all("folder/file", 4);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().code() == ErrorCode::file_io);
  CHECK(
      refused.error().message() == "folder/file: has 5 bytes, more than the 4 that are read here");
}

TEST_CASE("file errors name path, offset and reason", "[core][disk]") {
  const auto error = troupe::file_error(ErrorCode::file_corrupt, "a/b", 16, "no such label");
  CHECK(error.code() == ErrorCode::file_corrupt);
  CHECK(error.message() == "a/b: at byte 16: no such label");
}

// Goal: replace() leaves the old file or the new one, whole, wherever it is cut off.
// Method: stop the machine after each operation and after each byte, under each kind of crash.
TEST_CASE("replace is atomic under every crash", "[core][disk][simulation]") {
  const std::string before = "old content";
  const std::string after = "and the new content, which is longer";
  for (const Crash crash : {Crash::process, Crash::power, Crash::torn_power}) {
    for (std::uint64_t stop = 0; stop < 48; ++stop) {
      for (const bool by_bytes : {false, true}) {
        for (std::uint64_t seed = 0; seed < 8; ++seed) {
          CAPTURE(stop, by_bytes, seed);
          MemoryDisk disk;
          disk.put("runs/file", bytes_of(before));
          if (by_bytes) {
            disk.stop_after_bytes(stop);
          } else {
            disk.stop_after_operations(stop);
          }
          const bool done = disk.replace("runs/file", bytes_of(after)).ok();
          disk.reboot(crash, seed);
          const std::string left = text_of(disk, "runs/file");
          CHECK((left == after || (left == before && !done)));
        }
      }
    }
  }
}

TEST_CASE("replace on a full disk keeps the old file and cleans up", "[core][disk]") {
  MemoryDisk disk;
  disk.put("runs/file", bytes_of("old"));
  for (std::uint64_t room = 0; room < 9; ++room) {
    disk.set_capacity(3 + room);
    const auto done = disk.replace("runs/file", bytes_of("123456789"));
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().code() == ErrorCode::disk_full);
    CHECK(text_of(disk, "runs/file") == "old");
    CHECK(disk.list("runs").value() == std::vector<std::string>{"file"});
  }
  disk.set_capacity(12);
  CHECK(disk.replace("runs/file", bytes_of("123456789")).ok());
  CHECK(text_of(disk, "runs/file") == "123456789");
}

TEST_CASE("replace returns whatever operation failed", "[core][disk]") {
  for (std::uint64_t skip = 0; skip < 5; ++skip) {
    CAPTURE(skip);
    MemoryDisk disk;
    disk.put("runs/file", bytes_of("old"));
    disk.fail_one_operation(skip);
    const auto done = disk.replace("runs/file", bytes_of("new"));
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().code() == ErrorCode::file_io);
    const bool renamed = skip == 4;  // create, append, sync, rename, sync_folder
    CHECK(text_of(disk, "runs/file") == (renamed ? "new" : "old"));
    CHECK_FALSE(disk.exists("runs/file.tmp"));
  }
}
