#include "bytes.hpp"
#include "support/proof.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/io/checkpoint.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

namespace {

namespace io = troupe::io;
using io::test::bytes_of;
using io::test::equal;
using io::test::floats;
using troupe::Error;
using troupe::ErrorCode;
using troupe::sim::Crash;
using troupe::sim::MemoryDisk;

const std::string folder = "runs/a/checkpoint";

io::Archive archive_of(int step) {
  io::Archive archive;
  archive.meta["step"] = step;
  archive.meta["seed"] = ~std::uint64_t{0};
  archive.meta["loss"] = 0.1 / step;
  const auto x = static_cast<float>(step);
  archive.tensors.push_back(floats("w", {2, 2}, {x, x + 1, x + 2, x + 3}));
  archive.tensors.push_back(floats("adam.m.w", {2, 2}, {-x, 0, 0, x}));
  return archive;
}

bool same(const io::Archive& a, const io::Archive& b) {
  if (!(a.meta == b.meta) || a.tensors.size() != b.tensors.size()) return false;
  for (const auto& tensor : a.tensors) {
    const auto* other = b.find(tensor.name());
    if (!other || !equal(tensor, *other)) return false;
  }
  return true;
}

/// A disk with the saves of steps 1 to `count`.
void save_steps(MemoryDisk& disk, int count) {
  for (int step = 1; step <= count; ++step) {
    REQUIRE(io::save_checkpoint(disk, folder, archive_of(step)).ok());
  }
}

/// What a saved step costs, for the loops that cut it short.
struct Cost {
  std::uint64_t operations = 0;
  std::uint64_t bytes = 0;
};
Cost cost_of_third_save() {
  MemoryDisk disk;
  save_steps(disk, 2);
  const Cost before{disk.operations(), disk.bytes_appended()};
  REQUIRE(io::save_checkpoint(disk, folder, archive_of(3)).ok());
  return {disk.operations() - before.operations, disk.bytes_appended() - before.bytes};
}

/// The step that a load gives; −1 when it fails, −2 when what it gives is not what was saved.
std::int64_t loaded_step(MemoryDisk& disk) {
  const auto loaded = io::load_checkpoint(disk, folder);
  if (!loaded) return -1;
  const auto step = loaded.value().archive.meta.at("step").as_int();
  const bool whole = same(loaded.value().archive, archive_of(static_cast<int>(step)));
  return whole && loaded.value().notices.empty() ? step : -2;
}

/// A crash amid the third save: what then loads is a whole step, and the next save is made.
void check_crash(Crash crash, std::uint64_t seed, bool by_bytes, std::uint64_t stop) {
  MemoryDisk disk;
  save_steps(disk, 2);
  disk.reboot(Crash::power);  // what was saved is durable
  if (by_bytes) {
    disk.stop_after_bytes(stop);
  } else {
    disk.stop_after_operations(stop);
  }
  const bool saved = io::save_checkpoint(disk, folder, archive_of(3)).ok();
  disk.reboot(crash, seed);
  const std::int64_t step = loaded_step(disk);
  CAPTURE(int(crash), seed, by_bytes, stop, saved, step);
  REQUIRE((step == 3 || (step == 2 && !saved)));
  // And life goes on: the next save clears away what the crash left.
  REQUIRE(io::save_checkpoint(disk, folder, archive_of(4)).ok());
  REQUIRE(loaded_step(disk) == 4);
  REQUIRE(disk.list(folder).value().size() == 2);
}

}  // namespace

TEST_CASE("a checkpoint comes back as it was saved", "[io]") {
  MemoryDisk disk;
  CHECK_FALSE(io::has_checkpoint(disk, folder));
  CHECK(io::save_checkpoint(disk, folder, archive_of(1)).value() == folder + "/save-000001");
  CHECK(io::has_checkpoint(disk, folder));
  const auto loaded = io::load_checkpoint(disk, folder).value();
  CHECK(same(loaded.archive, archive_of(1)));
  CHECK(loaded.path == folder + "/save-000001");
  CHECK(loaded.archive.meta_path == folder + "/save-000001/meta.json");
  CHECK(loaded.archive.tensors_path == folder + "/save-000001/state.safetensors");
  CHECK(loaded.notices.empty());
  CHECK(loaded.archive.find("nothing") == nullptr);
}

TEST_CASE("the newest saves stay, older ones go", "[io]") {
  MemoryDisk disk;
  for (int step = 1; step <= 5; ++step) {
    REQUIRE(io::save_checkpoint(disk, folder, archive_of(step), 3).ok());
  }
  CHECK(
      disk.list(folder).value() ==
      std::vector<std::string>{"save-000003", "save-000004", "save-000005"});
  REQUIRE(io::save_checkpoint(disk, folder, archive_of(6), 0).ok());  // at least one stays
  CHECK(disk.list(folder).value() == std::vector<std::string>{"save-000006"});
  CHECK(loaded_step(disk) == 6);
}

TEST_CASE("a folder without saves is not found", "[io]") {
  MemoryDisk disk;
  const auto missing = io::load_checkpoint(disk, folder);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code() == ErrorCode::file_not_found);
  disk.put(folder + "/save-7", bytes_of("not a name that we write"));
  disk.put(folder + "/save-000009.tmp/manifest", bytes_of(""));
  const auto empty = io::load_checkpoint(disk, folder);
  REQUIRE_FALSE(empty.ok());
  CHECK(empty.error().code() == ErrorCode::file_not_found);
  CHECK(empty.error().message() == folder + ": holds no checkpoint");
}

// Goal: a save cut short anywhere leaves the save before it whole, and a finished one stays.
// Method: stop the machine after each operation and after each byte of the third save, under each
// kind of crash; what then loads must be step 2, or step 3 once the save had begun to be renamed.
TEST_CASE("every prefix of a save leaves a whole checkpoint", "[io][simulation]") {
  const Cost cost = cost_of_third_save();
  REQUIRE(cost.operations > 10);
  std::uint64_t prefixes = 0;
  for (const Crash crash : {Crash::process, Crash::power, Crash::torn_power}) {
    for (std::uint64_t stop = 0; stop <= cost.operations; ++stop, ++prefixes)
      check_crash(crash, stop, false, stop);
    for (std::uint64_t stop = 0; stop < cost.bytes; ++stop, ++prefixes)
      check_crash(crash, stop, true, stop);
  }
  std::printf("prefixes: %llu of a save, all load\n", static_cast<unsigned long long>(prefixes));
}

// Goal: promise 3, whatever part of what was not synced a disk has written, in whatever order.
// Method: a power cut at an operation or a byte, and what is left of the rest, by seed.
TEST_CASE("every reordering of a save's writes loads", "[io][simulation]") {
  const Cost cost = cost_of_third_save();
  std::mt19937_64 draw(1);
  const std::uint64_t count = troupe::testing::share(20'000);
  for (std::uint64_t seed = 0; seed < count; ++seed) {
    const bool by_bytes = draw() % 2 == 0;
    check_crash(
        Crash::torn_power, seed, by_bytes, draw() % (by_bytes ? cost.bytes : cost.operations + 1));
  }
  std::printf("reorderings: %llu of a save, all load\n", static_cast<unsigned long long>(count));
}

TEST_CASE("the very first save is durable with all its folders", "[io][simulation]") {
  MemoryDisk disk;
  save_steps(disk, 1);
  disk.reboot(Crash::power);
  CHECK(loaded_step(disk) == 1);
}

TEST_CASE("a disk that fills up at any byte keeps the previous save", "[io]") {
  const Cost cost = cost_of_third_save();
  for (std::uint64_t room = 0; room < cost.bytes; ++room) {
    CAPTURE(room);
    MemoryDisk disk;
    save_steps(disk, 2);
    const std::uint64_t used = disk.bytes_used();
    disk.set_capacity(used + room);
    const auto saved = io::save_checkpoint(disk, folder, archive_of(3));
    REQUIRE_FALSE(saved.ok());
    CHECK(saved.error().code() == ErrorCode::disk_full);
    CHECK(saved.error().message().find(folder + "/save-000003.tmp/") == 0);
    CHECK(disk.bytes_used() == used);  // the failed save is cleared away
    CHECK(loaded_step(disk) == 2);
  }
}

TEST_CASE("any one operation may fail, and the checkpoint stays whole", "[io]") {
  const Cost cost = cost_of_third_save();
  for (std::uint64_t skip = 0; skip < cost.operations; ++skip) {
    CAPTURE(skip);
    MemoryDisk disk;
    save_steps(disk, 2);
    disk.fail_one_operation(skip);
    const auto saved = io::save_checkpoint(disk, folder, archive_of(3));
    if (!saved.ok()) CHECK(saved.error().code() == ErrorCode::file_io);
    const std::int64_t step = loaded_step(disk);
    CHECK((step == 3 || (step == 2 && !saved.ok())));
    REQUIRE(io::save_checkpoint(disk, folder, archive_of(4)).ok());
    CHECK(loaded_step(disk) == 4);
  }
}

TEST_CASE("a flipped bit anywhere is found, and the save before it loads", "[io]") {
  MemoryDisk disk;
  save_steps(disk, 2);
  std::size_t flipped = 0;
  for (const std::string& name :
       std::vector<std::string>{"manifest", "meta.json", "state.safetensors"}) {
    const std::string path = folder + "/save-000002/" + name;
    const auto size = disk.read_all(path).value().size();
    // One bit of each byte, or as the full count has it, all of them.
    const bool all = troupe::testing::share(100) >= 100;
    for (std::size_t place = 0; place < (all ? 8 * size : size); ++place) {
      const std::size_t offset = all ? place / 8 : place;
      const auto bit = static_cast<unsigned>(place % 8);
      CAPTURE(name, offset, bit);
      disk.flip_bit(path, offset, bit);
      const auto loaded = io::load_checkpoint(disk, folder);
      if (loaded.ok()) {
        CHECK(same(loaded.value().archive, archive_of(1)));
        REQUIRE(loaded.value().notices.size() == 1);
        CHECK(loaded.value().notices[0].starts_with(folder + "/save-000002 is damaged: "));
        CHECK(loaded.value().notices[0].find(name) != std::string::npos);
      } else {
        // A format number that reads as a later one is not taken for damage.
        CHECK(loaded.error().code() == ErrorCode::file_mismatch);
        CHECK(name == "manifest");
      }
      disk.flip_bit(path, offset, bit);
      ++flipped;
    }
  }
  CHECK(loaded_step(disk) == 2);
  std::printf("bits: %zu of a save flipped, each was found\n", flipped);
}

TEST_CASE("a missing, short or long file is found", "[io]") {
  for (const std::string& name :
       std::vector<std::string>{"manifest", "meta.json", "state.safetensors"}) {
    CAPTURE(name);
    MemoryDisk disk;
    save_steps(disk, 1);
    const std::string path = folder + "/save-000001/" + name;
    auto bytes = disk.read_all(path).value();
    const auto code = [&] {
      const auto loaded = io::load_checkpoint(disk, folder);
      REQUIRE_FALSE(loaded.ok());
      CHECK(loaded.error().message().starts_with(path + ": "));
      return loaded.error().code();
    };
    disk.put(path, std::span(bytes).first(bytes.size() - 1));
    CHECK(code() == (name == "manifest" ? ErrorCode::file_corrupt : ErrorCode::file_truncated));
    bytes.push_back(std::byte{' '});
    disk.put(path, bytes);
    CHECK(code() == ErrorCode::file_corrupt);
    disk.remove(path).value();
    CHECK(code() == ErrorCode::file_not_found);
  }
}

TEST_CASE("with no whole save left, the newest one's error is told", "[io]") {
  MemoryDisk disk;
  save_steps(disk, 2);
  disk.flip_bit(folder + "/save-000001/meta.json", 3, 0);
  disk.flip_bit(folder + "/save-000002/state.safetensors", 3, 0);
  const auto loaded = io::load_checkpoint(disk, folder);
  REQUIRE_FALSE(loaded.ok());
  CHECK(loaded.error().code() == ErrorCode::file_corrupt);
  CHECK(
      loaded.error().message() ==
      folder +
          "/save-000002/state.safetensors: at byte 0: its checksum is not the one that was "
          "saved");
}

TEST_CASE("an archive that cannot be written touches nothing", "[io]") {
  MemoryDisk disk;
  save_steps(disk, 1);
  auto twice = archive_of(2);
  twice.tensors.push_back(twice.tensors[0]);
  auto not_text = archive_of(2);
  not_text.meta["name"] = "\xff";
  for (const io::Archive& wrong : {twice, not_text}) {
    const auto saved = io::save_checkpoint(disk, folder, wrong);
    REQUIRE_FALSE(saved.ok());
    CHECK(saved.error().code() == ErrorCode::invalid_argument);
    CHECK(disk.list(folder).value() == std::vector<std::string>{"save-000001"});
  }
}
