#include "pixel_statistics.hpp"

#include <troupe/data/cifar10.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <utility>

namespace troupe::data {
namespace {

constexpr std::int64_t channels = 3;
constexpr std::int64_t side = 32;
constexpr std::uint64_t image_bytes = channels * side * side;
constexpr std::uint64_t record_bytes = 1 + image_bytes;
constexpr std::uint8_t class_count = 10;
/// Far more than ten short names need; a longer file is not what it claims to be.
constexpr std::uint64_t names_bytes_max = 4096;

/// Reads the records of `path` and adds them to `set`.
Result<void> append_file(Disk& disk, const std::string& path, ImageSet& set) {
  auto file = disk.open(path);
  if (!file) return file.error();
  auto size = file.value()->size();
  if (!size) return size.error();
  const std::uint64_t count = size.value() / record_bytes;
  if (size.value() % record_bytes != 0) {
    return file_error(
        ErrorCode::file_truncated,
        path,
        count * record_bytes,
        "the last record has " + std::to_string(size.value() % record_bytes) + " bytes of " +
            std::to_string(record_bytes));
  }
  if (count == 0) return file_error(ErrorCode::file_corrupt, path, 0, "no records");
  std::array<std::byte, record_bytes> record{};
  try {
    set.images.reserve(set.images.size() + count * image_bytes);
    set.labels.reserve(set.labels.size() + count);
  } catch (const std::exception&) {  // bad_alloc, or length_error past what addresses can tell
    return Error(
        ErrorCode::out_of_memory,
        path + ": no memory for its " + std::to_string(count) + " images");
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    if (auto done = file.value()->read(i * record_bytes, record); !done) return done;
    const auto label = std::to_integer<std::uint8_t>(record[0]);
    if (label >= class_count) {
      return file_error(
          ErrorCode::file_corrupt,
          path,
          i * record_bytes,
          "label " + std::to_string(label) + " of record " + std::to_string(i) + " is above 9");
    }
    set.labels.push_back(label);
    set.images.insert(set.images.end(), record.begin() + 1, record.end());
  }
  set.count += static_cast<std::int64_t>(count);
  return {};
}

ImageSet empty_set() {
  ImageSet set;
  set.channels = channels;
  set.height = side;
  set.width = side;
  return set;
}

/// One name a line, blank lines and line ends of Windows ignored.
Result<std::vector<std::string>> read_names(Disk& disk, const std::string& path) {
  auto bytes = disk.read_all(path, names_bytes_max);
  if (!bytes) return bytes.error();
  std::vector<std::string> names;
  std::string name;
  const auto finish = [&] {
    if (!name.empty()) names.push_back(std::exchange(name, {}));
  };
  for (const std::byte b : bytes.value()) {
    const auto c = static_cast<char>(b);
    if (c == '\n') finish();
    if (c != '\n' && c != '\r') name += c;
  }
  finish();
  if (names.size() != class_count) {
    return file_error(
        ErrorCode::file_corrupt,
        path,
        0,
        std::to_string(names.size()) + " class names, where ten belong");
  }
  return names;
}

}  // namespace

Result<ImageSet> read_cifar10_file(Disk& disk, const std::string& path) {
  ImageSet set = empty_set();
  if (auto done = append_file(disk, path, set); !done) return done.error();
  return set;
}

Result<ImageDataset> read_cifar10(Disk& disk, const std::string& folder) {
  ImageSet train = empty_set();
  for (int number = 1; number <= 5; ++number) {
    const std::string path = folder + "/data_batch_" + std::to_string(number) + ".bin";
    if (auto done = append_file(disk, path, train); !done) {
      if (done.error().code() != ErrorCode::file_not_found) return done.error();
      return Error(done.error())
          .hint(
              "a folder in CIFAR-10's binary layout has data_batch_1.bin to data_batch_5.bin and "
              "test_batch.bin");
    }
  }
  auto test = read_cifar10_file(disk, folder + "/test_batch.bin");
  if (!test) return test.error();
  ImageDataset dataset;
  dataset.name = "cifar10:" + folder;
  const std::string names_path = folder + "/batches.meta.txt";
  if (disk.exists(names_path)) {
    auto names = read_names(disk, names_path);
    if (!names) return names.error();
    dataset.class_names = std::move(names).value();
  } else {
    dataset.class_names = {
        "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  }
  dataset.train = std::make_shared<const ImageSet>(std::move(train));
  dataset.test = std::make_shared<const ImageSet>(std::move(test).value());
  measure_pixels(dataset);
  return dataset;
}

}  // namespace troupe::data
