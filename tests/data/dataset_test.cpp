#include "files.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/dataset.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace {

namespace data = troupe::data;
using data::test::bytes_of;
using data::test::counting;
using data::test::gzipped;
using data::test::idx_header;
using troupe::ErrorCode;
using troupe::sim::MemoryDisk;

/// Three training and two test images of 2 × 2 pixels; some files compressed, some not.
void put_folder(MemoryDisk& disk, const std::string& folder = "d") {
  disk.put(
      folder + "/train-images-idx3-ubyte.gz",
      bytes_of(gzipped(idx_header(8, {3, 2, 2}) + counting(12))));
  disk.put(folder + "/train-labels-idx1-ubyte", bytes_of(idx_header(8, {3}) + "\1\2\3"));
  disk.put(folder + "/t10k-images-idx3-ubyte", bytes_of(idx_header(8, {2, 2, 2}) + counting(8)));
  disk.put(folder + "/t10k-labels-idx1-ubyte.gz", bytes_of(gzipped(idx_header(8, {2}) + "\1\5")));
}

}  // namespace

TEST_CASE("an IDX folder is a data set", "[data]") {
  MemoryDisk disk;
  put_folder(disk);
  const auto dataset = data::open_image_dataset(disk, "idx:d").value();
  CHECK(dataset.name == "idx:d");
  CHECK(dataset.train->count == 3);
  CHECK(dataset.train->channels == 1);
  CHECK(dataset.train->height == 2);
  CHECK(dataset.train->width == 2);
  CHECK(dataset.train->images[11] == std::byte{11});
  CHECK(dataset.train->labels == std::vector<std::uint8_t>{1, 2, 3});
  CHECK(dataset.test->labels == std::vector<std::uint8_t>{1, 5});
  // One class for each label up to the highest of either split.
  CHECK(dataset.class_names == std::vector<std::string>{"0", "1", "2", "3", "4", "5"});
}

TEST_CASE("colour images may come as IDX of rank 4", "[data]") {
  MemoryDisk disk;
  disk.put("i", bytes_of(idx_header(8, {1, 3, 2, 1}) + counting(6)));
  disk.put("l", bytes_of(idx_header(8, {1}) + "\1"));
  const auto set = data::read_idx_images(disk, "i", "l").value();
  CHECK(set.channels == 3);
  CHECK(set.height == 2);
  CHECK(set.width == 1);
}

TEST_CASE("IDX files that do not fit each other are mismatches", "[data]") {
  struct Case {
    std::string file;
    std::string content;
    std::string message;
  };
  const Case cases[] = {
      {"train-labels-idx1-ubyte",
       idx_header(8, {2}) + "\1\2",
       "d/train-labels-idx1-ubyte: at byte 8: 2 labels for the 3 images of "
       "d/train-images-idx3-ubyte.gz"},
      {"train-labels-idx1-ubyte",
       idx_header(8, {3, 1}) + "\1\2\3",
       "d/train-labels-idx1-ubyte: holds uint8 [3, 1], where uint8 labels of rank 1 belong"},
      {"t10k-images-idx3-ubyte",
       idx_header(0x0c, {2}) + counting(8),
       "d/t10k-images-idx3-ubyte: holds int32 [2], where uint8 images of rank 3 or 4 belong"},
      {"t10k-images-idx3-ubyte",
       idx_header(8, {0, 2, 2}),
       "d/t10k-images-idx3-ubyte: holds uint8 [0, 2, 2]: no images"},
      {"t10k-images-idx3-ubyte",
       idx_header(8, {2, 1, 2}) + counting(4),
       "d: training and test images differ in size: [1, 2, 2] and [1, 1, 2]"},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.message);
    MemoryDisk disk;
    put_folder(disk);
    disk.put("d/" + wrong.file, bytes_of(wrong.content));
    const auto dataset = data::open_image_dataset(disk, "idx:d");
    REQUIRE_FALSE(dataset.ok());
    CHECK(dataset.error().code() == ErrorCode::file_mismatch);
    CHECK(dataset.error().message() == wrong.message);
  }
}

TEST_CASE("a missing IDX file is named, with and without .gz", "[data]") {
  MemoryDisk disk;
  put_folder(disk);
  disk.remove("d/t10k-labels-idx1-ubyte.gz").value();
  const auto dataset = data::open_image_dataset(disk, "idx:d");
  REQUIRE_FALSE(dataset.ok());
  CHECK(dataset.error().code() == ErrorCode::file_not_found);
  CHECK(
      dataset.error().message() ==
      "d/t10k-labels-idx1-ubyte: no such file, and none with .gz either");
}

TEST_CASE("specs that name no data set are refused with those that do", "[data]") {
  MemoryDisk disk;
  for (const char* spec :
       {"", "mnist", "idx", "idx:", "cifar10", "cifar10:", "fashion-mnist:x", ":"}) {
    CAPTURE(spec);
    const auto dataset = data::open_image_dataset(disk, spec);
    REQUIRE_FALSE(dataset.ok());
    CHECK(dataset.error().code() == ErrorCode::invalid_argument);
    CHECK(dataset.error().hint() == "use fashion-mnist, idx:FOLDER or cifar10:FOLDER");
  }
}

TEST_CASE("Fashion-MNIST without its package says which to install", "[data]") {
  MemoryDisk disk;
  const auto missing = data::open_image_dataset(disk, "fashion-mnist");
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().code() == ErrorCode::file_not_found);
  CHECK(missing.error().hint() == "install it with: apt-get install dataset-fashion-mnist");

  put_folder(disk, "/usr/share/datasets/fashion-mnist");
  const auto dataset = data::open_image_dataset(disk, "fashion-mnist").value();
  CHECK(dataset.class_names.size() == 10);
  CHECK(dataset.class_names[9] == "Ankle boot");

  disk.put(
      "/usr/share/datasets/fashion-mnist/train-labels-idx1-ubyte",
      bytes_of(idx_header(8, {3}) + "\1\2\12"));
  const auto other = data::open_image_dataset(disk, "fashion-mnist");
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().code() == ErrorCode::file_mismatch);
}

TEST_CASE("the real Fashion-MNIST has 70,000 images", "[data]") {
  const auto disk = troupe::make_real_disk();
  if (!disk->exists("/usr/share/datasets/fashion-mnist")) {
    SKIP("dataset-fashion-mnist is not installed");
  }
  const auto dataset = data::open_image_dataset(*disk, "fashion-mnist").value();
  CHECK(dataset.train->count == 60'000);
  CHECK(dataset.test->count == 10'000);
  CHECK(dataset.train->height == 28);
  // The figures that are known for this data set, to four digits.
  CHECK(std::abs(dataset.mean[0] - 0.2860F) < 5e-5F);
  CHECK(std::abs(dataset.deviation[0] - 0.3530F) < 5e-5F);
}
