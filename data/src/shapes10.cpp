#include "shape_painter.hpp"

#include <troupe/data/shapes10.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

namespace troupe::data {
namespace {

constexpr int file_count = 5;
constexpr std::size_t record_bytes = 1 + shape_image_bytes;
constexpr std::int64_t records_per_write = 256;

/// Images of one split come from a stream of their own.
enum class Split : std::uint64_t { train = 0, test = 1 };

/// Writes images [first, first + count) of a split as one file of records.
Result<void> write_file(
    Disk& disk,
    const std::string& path,
    std::uint64_t seed,
    Split split,
    std::int64_t first,
    std::int64_t count) {
  return disk.replace(path, [&](DiskFile& file) -> Result<void> {
    std::vector<std::byte> records(static_cast<std::size_t>(records_per_write) * record_bytes);
    for (std::int64_t start = 0; start < count; start += records_per_write) {
      const auto batch = static_cast<std::size_t>(std::min(records_per_write, count - start));
      for (std::size_t i = 0; i < batch; ++i) {
        const std::span record = std::span(records).subspan(i * record_bytes, record_bytes);
        // Even numbers are for training, odd ones for testing, so the splits never share an image.
        const auto index =
            2 * (static_cast<std::uint64_t>(first + start) + i) + static_cast<std::uint64_t>(split);
        record[0] = std::byte{paint_shape(seed, index, record.last<shape_image_bytes>())};
      }
      if (auto done = file.append(std::span(records).first(batch * record_bytes)); !done)
        return done;
    }
    return {};
  });
}

}  // namespace

Result<void> write_shapes10(
    Disk& disk,
    const std::string& folder,
    std::uint64_t seed,
    std::int64_t train_count,
    std::int64_t test_count) {
  if (train_count < file_count || test_count < 1) {
    return Error(
        ErrorCode::invalid_argument,
        "Shapes-10 needs at least 5 images to train on and 1 to test on, not " +
            std::to_string(train_count) + " and " + std::to_string(test_count));
  }
  if (auto done = disk.make_folders(folder); !done) return done;
  std::int64_t first = 0;
  for (int number = 1; number <= file_count; ++number) {
    const std::int64_t end = train_count * number / file_count;
    const std::string path = folder + "/data_batch_" + std::to_string(number) + ".bin";
    auto done = write_file(disk, path, seed, Split::train, first, end - first);
    if (!done) return done;
    first = end;
  }
  auto done = write_file(disk, folder + "/test_batch.bin", seed, Split::test, 0, test_count);
  if (!done) return done;
  std::string names;
  for (const std::string_view name : shape_names) names += std::string(name) + "\n";
  return disk.replace(folder + "/batches.meta.txt", std::as_bytes(std::span(names)));
}

}  // namespace troupe::data
