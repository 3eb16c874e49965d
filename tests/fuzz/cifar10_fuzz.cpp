#include "expect.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/cifar10.hpp>

#include <algorithm>
#include <string>

// Any bytes, as a batch and as the list of names, are a data set or a typed error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  // The first bytes are the names, up to the first zero; the rest are the records.
  const std::uint8_t* end = std::find(data, data + size, 0);
  const auto names = static_cast<std::size_t>(end - data);
  const auto records = fuzz::bytes_of(end, size - names);
  sim::MemoryDisk disk;
  for (int number = 1; number <= 5; ++number) {
    disk.put("c/data_batch_" + std::to_string(number) + ".bin", records);
  }
  disk.put("c/test_batch.bin", records);
  if (names > 0) disk.put("c/batches.meta.txt", fuzz::bytes_of(data, names));
  const auto dataset = data::read_cifar10(disk, "c");
  if (!dataset) {
    fuzz::expect_file_error(dataset.error(), {"c/data_batch_1.bin", "c/batches.meta.txt"});
    return 0;
  }
  const data::ImageSet& set = *dataset.value().train;
  fuzz::expect(set.labels.size() == static_cast<std::size_t>(set.count), "a label for each image");
  fuzz::expect(
      set.images.size() == static_cast<std::size_t>(set.count) * set.bytes_per_image(),
      "pixels for each image");
  fuzz::expect(*std::max_element(set.labels.begin(), set.labels.end()) < 10, "labels below ten");
  fuzz::expect(dataset.value().class_names.size() == 10, "ten names");
  return 0;
}
