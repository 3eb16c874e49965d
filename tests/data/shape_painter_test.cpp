#include "files.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/cifar10.hpp>
#include <troupe/data/shapes10.hpp>

#include <catch2/catch_test_macros.hpp>
#include <zlib.h>

#include <array>
#include <set>

namespace data = troupe::data;

TEST_CASE("painted images have all labels about equally often, and differ", "[data]") {
  troupe::sim::MemoryDisk disk;
  data::write_shapes10(disk, "s", 3, 2000, 5).value();
  const auto dataset = data::read_cifar10(disk, "s").value();
  const data::ImageSet& set = *dataset.train;
  std::array<int, 10> counts{};
  for (const std::uint8_t label : set.labels) ++counts[label];
  // 200 are expected; the deviation is √(2000 · 0.1 · 0.9) = 13.4, and this is five of them.
  for (const int count : counts) CHECK(std::abs(count - 200) < 67);
  std::set<std::uint64_t> sums;
  for (std::int64_t i = 0; i < set.count; ++i) {
    const auto* image = reinterpret_cast<const Bytef*>(set.images.data()) + i * 3072;
    sums.insert(crc32(0, image, 3072));
  }
  CHECK(sums.size() == 2000);
  // Any colour: the channels fill their range evenly.
  for (const float mean : dataset.mean) CHECK(std::abs(mean - 0.5F) < 0.02F);
  for (const float deviation : dataset.deviation) CHECK(deviation > 0.2F);
}

// The sum was taken when the painter was written (GCC 12, x86-64): other compilers and machines
// must paint the same bytes.
TEST_CASE("painted bytes are the same everywhere", "[data]") {
  troupe::sim::MemoryDisk disk;
  data::write_shapes10(disk, "s", 7, 500, 5).value();
  uLong sum = 0;
  for (int number = 1; number <= 5; ++number) {
    const auto bytes = disk.read_all("s/data_batch_" + std::to_string(number) + ".bin").value();
    sum = crc32_z(sum, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size());
  }
  CHECK(sum == 0xb8238df1);
}
