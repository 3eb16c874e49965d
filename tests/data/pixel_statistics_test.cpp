#include "files.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/dataset.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <string>

namespace data = troupe::data;
using data::test::bytes_of;
using data::test::idx_header;

TEST_CASE("mean and deviation are the training images', by channel", "[data]") {
  troupe::sim::MemoryDisk disk;
  // Two images of two channels: channel 0 holds 0, 255, 255, 0 and channel 1 holds only 51.
  const std::string images = {'\0', '\xff', '3', '3', '\xff', '\0', '3', '3'};
  for (const std::string& split : {std::string("train"), std::string("t10k")}) {
    disk.put("d/" + split + "-images-idx3-ubyte", bytes_of(idx_header(8, {2, 2, 1, 2}) + images));
    disk.put("d/" + split + "-labels-idx1-ubyte", bytes_of(idx_header(8, {2}) + "\1\2"));
  }
  disk.put(
      "d/t10k-images-idx3-ubyte", bytes_of(idx_header(8, {2, 2, 1, 2}) + std::string(8, '\xff')));
  const auto dataset = data::open_image_dataset(disk, "idx:d").value();
  CHECK(dataset.mean == std::vector<float>{0.5F, 0.2F});
  // Where all pixels are alike there is nothing to divide by.
  CHECK(dataset.deviation == std::vector<float>{0.5F, 1.0F});
}
