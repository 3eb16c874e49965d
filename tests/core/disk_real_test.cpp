#include <troupe/core/disk.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace {

using troupe::ErrorCode;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

std::string text_of(troupe::Disk& disk, const std::string& path) {
  const auto bytes = disk.read_all(path).value();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// An empty folder that is removed again.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "troupe-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { std::filesystem::remove_all(path_); }

  [[nodiscard]] std::string operator/(std::string_view name) const {
    return path_ + "/" + std::string(name);
  }

 private:
  std::string path_;
};

}  // namespace

TEST_CASE("a real file gives back what was appended", "[core][disk]") {
  const ScratchFolder folder;
  const auto disk = troupe::make_real_disk();
  {
    const auto file = disk->create(folder / "file").value();
    file->append(bytes_of("one ")).value();
    file->append(bytes_of("two")).value();
    file->sync().value();
    CHECK(file->size().value() == 7);
  }
  CHECK(text_of(*disk, folder / "file") == "one two");
  const auto file = disk->open(folder / "file").value();
  std::vector<std::byte> middle(3);
  file->read(2, middle).value();
  CHECK(std::string(reinterpret_cast<const char*>(middle.data()), 3) == "e t");
}

TEST_CASE("a real file that ends too early says where", "[core][disk]") {
  const ScratchFolder folder;
  const auto disk = troupe::make_real_disk();
  disk->replace(folder / "file", bytes_of("12345")).value();
  std::vector<std::byte> bytes(8);
  const auto read = disk->open(folder / "file").value()->read(1, bytes);
  REQUIRE_FALSE(read.ok());
  CHECK(read.error().code() == ErrorCode::file_truncated);
  CHECK(
      read.error().message() ==
      (folder / "file") + ": at byte 5: the file ends here, 4 bytes too early");
}

TEST_CASE("replace overwrites and leaves no temporary file", "[core][disk]") {
  const ScratchFolder folder;
  const auto disk = troupe::make_real_disk();
  disk->replace(folder / "file", bytes_of("old")).value();
  disk->replace(folder / "file", bytes_of("new")).value();
  CHECK(text_of(*disk, folder / "file") == "new");
  CHECK(disk->list(folder / "").value() == std::vector<std::string>{"file"});
}

TEST_CASE(
    "folders are made with their parents, listed in order, renamed, removed", "[core][disk]") {
  const ScratchFolder folder;
  const auto disk = troupe::make_real_disk();
  disk->make_folders(folder / "a/b/c").value();
  disk->make_folders(folder / "a/b/c").value();
  disk->replace(folder / "a/z", bytes_of("z")).value();
  CHECK(disk->list(folder / "a").value() == std::vector<std::string>{"b", "z"});
  disk->rename(folder / "a/b", folder / "a/d").value();
  disk->sync_folder(folder / "a").value();
  CHECK(disk->exists(folder / "a/d/c"));
  CHECK_FALSE(disk->exists(folder / "a/b"));
  CHECK_FALSE(disk->remove(folder / "a/d").ok());
  disk->remove(folder / "a/d/c").value();
  disk->remove(folder / "a/d").value();
  CHECK(disk->list(folder / "a").value() == std::vector<std::string>{"z"});
}

TEST_CASE("the system's refusals are typed and name the path", "[core][disk]") {
  const ScratchFolder folder;
  const auto disk = troupe::make_real_disk();
  disk->replace(folder / "file", bytes_of("x")).value();
  const auto code_of = [](const auto& result) {
    REQUIRE_FALSE(result.ok());
    return result.error().code();
  };
  const auto missing = disk->open(folder / "missing");
  CHECK(code_of(missing) == ErrorCode::file_not_found);
  CHECK(
      missing.error().message() ==
      (folder / "missing") + ": cannot open: No such file or directory");
  CHECK(code_of(disk->open(folder / "")) == ErrorCode::file_io);
  CHECK(code_of(disk->open("/dev/null")) == ErrorCode::file_io);
  CHECK(code_of(disk->open(folder / "file/below")) == ErrorCode::file_not_found);
  CHECK(code_of(disk->create(folder / "missing/file")) == ErrorCode::file_not_found);
  CHECK(code_of(disk->make_folders(folder / "file/below")) == ErrorCode::file_io);
  CHECK(code_of(disk->make_folders(folder / "file")) == ErrorCode::file_io);
  CHECK(code_of(disk->rename(folder / "missing", folder / "b")) == ErrorCode::file_not_found);
  CHECK(code_of(disk->remove(folder / "missing")) == ErrorCode::file_not_found);
  CHECK(code_of(disk->sync_folder(folder / "missing")) == ErrorCode::file_not_found);
  CHECK(code_of(disk->list(folder / "missing")) == ErrorCode::file_not_found);
}

TEST_CASE("a device without room is disk_full", "[core][disk]") {
  if (!std::filesystem::exists("/dev/full")) SKIP("this system has no /dev/full");
  const auto disk = troupe::make_real_disk();
  const auto file = disk->create("/dev/full");
  REQUIRE(file.ok());
  const auto written = file.value()->append(bytes_of("x"));
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().code() == ErrorCode::disk_full);
  CHECK(written.error().message() == "/dev/full: cannot write: No space left on device");
  CHECK(written.error().hint() == "make room on that disk");
}
