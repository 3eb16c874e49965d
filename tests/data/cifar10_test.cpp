#include "files.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/cifar10.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace {

namespace data = troupe::data;
using data::test::bytes_of;
using troupe::ErrorCode;
using troupe::Result;
using troupe::sim::MemoryDisk;

/// A record whose pixels are all `pixel`.
std::string record(int label, int pixel) {
  return static_cast<char>(label) + std::string(3072, static_cast<char>(pixel));
}

void put_folder(MemoryDisk& disk) {
  for (int number = 1; number <= 5; ++number) {
    disk.put(
        "c/data_batch_" + std::to_string(number) + ".bin",
        bytes_of(record(number, 10 * number) + record(0, 7)));
  }
  disk.put("c/test_batch.bin", bytes_of(record(9, 99)));
}

}  // namespace

TEST_CASE("a CIFAR-10 folder is read in the order of its files", "[data]") {
  MemoryDisk disk;
  put_folder(disk);
  const auto dataset = data::read_cifar10(disk, "c").value();
  CHECK(dataset.name == "cifar10:c");
  CHECK(dataset.train->count == 10);
  CHECK(dataset.train->channels == 3);
  CHECK(dataset.train->bytes_per_image() == 3072);
  CHECK(dataset.train->labels == std::vector<std::uint8_t>{1, 0, 2, 0, 3, 0, 4, 0, 5, 0});
  CHECK(dataset.train->images.size() == 30720);
  CHECK(dataset.train->images[2 * 3072] == std::byte{20});
  CHECK(dataset.test->labels == std::vector<std::uint8_t>{9});
  CHECK(dataset.class_names[9] == "truck");
  disk.put("c/batches.meta.txt", bytes_of("a\r\nb\nc\nd\ne\n\nf\ng\nh\ni\nj"));
  CHECK(data::read_cifar10(disk, "c").value().class_names[9] == "j");
}

TEST_CASE("hostile CIFAR-10 files are typed errors", "[data]") {
  struct Case {
    std::string file;
    std::string content;
    ErrorCode code;
    std::string message;
  };
  const Case cases[] = {
      {"data_batch_3.bin",
       "",
       ErrorCode::file_corrupt,
       "c/data_batch_3.bin: at byte 0: no records"},
      {"data_batch_3.bin",
       record(1, 1) + "xy",
       ErrorCode::file_truncated,
       "c/data_batch_3.bin: at byte 3073: the last record has 2 bytes of 3073"},
      {"data_batch_1.bin",
       record(1, 1) + record(10, 1),
       ErrorCode::file_corrupt,
       "c/data_batch_1.bin: at byte 3073: label 10 of record 1 is above 9"},
      {"test_batch.bin",
       record(255, 1),
       ErrorCode::file_corrupt,
       "c/test_batch.bin: at byte 0: label 255 of record 0 is above 9"},
      {"batches.meta.txt",
       "a\nb\n",
       ErrorCode::file_corrupt,
       "c/batches.meta.txt: at byte 0: 2 class names, where ten belong"},
      {"batches.meta.txt",
       std::string(5000, 'a'),
       ErrorCode::file_io,
       "c/batches.meta.txt: has 5000 bytes, more than the 4096 that are read here"},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.file, wrong.message);
    MemoryDisk disk;
    put_folder(disk);
    disk.put("c/" + wrong.file, bytes_of(wrong.content));
    const auto dataset = data::read_cifar10(disk, "c");
    REQUIRE_FALSE(dataset.ok());
    CHECK(dataset.error().code() == wrong.code);
    CHECK(dataset.error().message() == wrong.message);
  }
}

// Goal: an error, not an exception of the C++ library, for want of memory. Method: a disk whose
// file says that it is of whole records that fill the address space.
TEST_CASE("a file too large for memory is a typed error", "[data]") {
  class HugeFile final : public troupe::DiskFile {
    Result<std::uint64_t> size() override { return ~std::uint64_t{0} / 3073 * 3073; }
    Result<void> read(std::uint64_t, std::span<std::byte>) override { return {}; }
    Result<void> append(std::span<const std::byte>) override { return {}; }
    Result<void> sync() override { return {}; }
  };
  class HugeDisk final : public troupe::Disk {
    Result<std::unique_ptr<troupe::DiskFile>> open(const std::string&) override {
      return std::unique_ptr<troupe::DiskFile>(std::make_unique<HugeFile>());
    }
    Result<std::unique_ptr<troupe::DiskFile>> create(const std::string& path) override {
      return open(path);
    }
    Result<void> rename(const std::string&, const std::string&) override { return {}; }
    Result<void> remove(const std::string&) override { return {}; }
    Result<void> make_folders(const std::string&) override { return {}; }
    Result<void> sync_folder(const std::string&) override { return {}; }
    Result<std::vector<std::string>> list(const std::string&) override {
      return std::vector<std::string>();
    }
    bool exists(const std::string&) override { return true; }
  };
  HugeDisk disk;
  const auto set = data::read_cifar10_file(disk, "huge.bin");
  REQUIRE_FALSE(set.ok());
  CHECK(set.error().code() == ErrorCode::out_of_memory);
  CHECK(set.error().message().starts_with("huge.bin: no memory for its "));
}

TEST_CASE("a missing batch is not found, with a hint at the layout", "[data]") {
  MemoryDisk disk;
  put_folder(disk);
  disk.remove("c/data_batch_4.bin").value();
  const auto dataset = data::read_cifar10(disk, "c");
  REQUIRE_FALSE(dataset.ok());
  CHECK(dataset.error().code() == ErrorCode::file_not_found);
  CHECK(dataset.error().message() == "c/data_batch_4.bin: no such file or folder");
  CHECK(dataset.error().hint().find("data_batch_1.bin to data_batch_5.bin") != std::string::npos);
}
