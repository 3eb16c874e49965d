#include <troupe/core/sim_disk.hpp>

#include <catch2/catch_test_macros.hpp>

#include <set>
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

void write(troupe::Disk& disk, const std::string& path, std::string_view text, bool synced) {
  const auto file = disk.create(path).value();
  file->append(bytes_of(text)).value();
  if (synced) file->sync().value();
}

}  // namespace

TEST_CASE("a dead process loses nothing that was written", "[core][simulation]") {
  MemoryDisk disk;
  write(disk, "file", "text", false);
  disk.reboot(Crash::process);
  CHECK(text_of(disk, "file") == "text");
}

TEST_CASE("a power cut takes bytes and names that nobody synced", "[core][simulation]") {
  MemoryDisk disk;
  write(disk, "name lost", "text", true);
  disk.reboot(Crash::power);
  CHECK(text_of(disk, "name lost") == "(file_not_found)");

  write(disk, "bytes lost", "text", false);
  disk.sync_folder("/").value();
  disk.reboot(Crash::power);
  CHECK(text_of(disk, "bytes lost").empty());

  write(disk, "kept", "text", true);
  disk.sync_folder("/").value();
  disk.rename("kept", "renamed").value();
  disk.reboot(Crash::power);
  CHECK(text_of(disk, "kept") == "text");
  CHECK_FALSE(disk.exists("renamed"));

  write(disk, "kept", "emptied and written anew", false);
  disk.remove("kept").value();
  disk.reboot(Crash::power);
  CHECK(text_of(disk, "kept") == "text");
}

TEST_CASE("a torn power cut leaves a part, and the seed says which", "[core][simulation]") {
  std::set<std::string> outcomes;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    MemoryDisk disk;
    write(disk, "file", "old", true);
    disk.sync_folder("/").value();
    const auto file = disk.create("other").value();
    file->append(bytes_of("ab")).value();
    disk.rename("file", "renamed").value();
    disk.reboot(Crash::torn_power, seed);
    // Renames are atomic: one of the two names is there, never both or none.
    CHECK(disk.exists("file") != disk.exists("renamed"));
    // Names become durable in the order of their changes.
    if (disk.exists("renamed")) CHECK(disk.exists("other"));
    outcomes.insert(text_of(disk, "other"));
  }
  const std::string zero(1, '\0');
  CHECK(outcomes == std::set<std::string>{"(file_not_found)", "", "a", "ab", zero, zero + zero});
}

TEST_CASE("a stop amid a write keeps the bytes before it", "[core][simulation]") {
  MemoryDisk disk;
  const auto file = disk.create("file").value();
  disk.stop_after_bytes(3);
  CHECK(file->append(bytes_of("ab")).ok());
  CHECK_FALSE(file->append(bytes_of("cdef")).ok());
  CHECK_FALSE(disk.exists("file"));  // the machine is off
  CHECK_FALSE(disk.list("/").ok());
  disk.reboot(Crash::process);
  CHECK(text_of(disk, "file") == "abc");
  const auto stale = file->append(bytes_of("x"));
  REQUIRE_FALSE(stale.ok());
  CHECK(stale.error().message() == "file: was open when the simulated machine stopped");
}

TEST_CASE("a full disk takes what fits", "[core][simulation]") {
  MemoryDisk disk;
  disk.set_capacity(4);
  const auto file = disk.create("file").value();
  const auto done = file->append(bytes_of("123456"));
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().code() == ErrorCode::disk_full);
  CHECK(text_of(disk, "file") == "1234");
  CHECK(disk.bytes_used() == 4);
  disk.remove("file").value();
  CHECK(disk.bytes_used() == 0);
}

TEST_CASE("one operation can be made to fail", "[core][simulation]") {
  MemoryDisk disk;
  disk.fail_one_operation(1);
  CHECK(disk.make_folders("a").ok());
  const auto failed = disk.make_folders("b");
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code() == ErrorCode::file_io);
  CHECK(disk.make_folders("c").ok());
  CHECK(disk.list("/").value() == std::vector<std::string>{"a", "c"});
  CHECK(disk.operations() == 4);
}

TEST_CASE("names behave as in POSIX", "[core][simulation]") {
  MemoryDisk disk;
  disk.make_folders("a/b").value();
  disk.put("a/file", bytes_of("x"));
  CHECK_FALSE(disk.create("missing/file").ok());
  CHECK_FALSE(disk.create("a/b").ok());
  CHECK_FALSE(disk.open("a").ok());
  CHECK_FALSE(disk.open("a/file/below").ok());
  CHECK_FALSE(disk.remove("a").ok());
  CHECK_FALSE(disk.rename("a/b", "a/file").ok());
  CHECK_FALSE(disk.make_folders("a/file").ok());
  CHECK(disk.rename("a", "z").ok());
  CHECK(text_of(disk, "./z//file") == "x");
}
