#include "files.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/cifar10.hpp>
#include <troupe/data/shapes10.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <string>

namespace data = troupe::data;
using troupe::ErrorCode;
using troupe::sim::MemoryDisk;

TEST_CASE("Shapes-10 is read as a CIFAR-10 folder", "[data]") {
  MemoryDisk disk;
  data::write_shapes10(disk, "shapes", 7, 1003, 300).value();
  CHECK(disk.list("shapes").value().size() == 7);
  const auto dataset = data::read_cifar10(disk, "shapes").value();
  CHECK(dataset.train->count == 1003);
  CHECK(dataset.test->count == 300);
  CHECK(dataset.class_names[0] == "disc");
  CHECK(dataset.class_names[9] == "crescent");
}

TEST_CASE("one seed always gives the same bytes, and more of them begin alike", "[data]") {
  MemoryDisk disk;
  data::write_shapes10(disk, "a", 7, 20, 10).value();
  data::write_shapes10(disk, "b", 7, 40, 20).value();
  data::write_shapes10(disk, "c", 8, 20, 10).value();
  const auto a = data::read_cifar10(disk, "a").value();
  const auto b = data::read_cifar10(disk, "b").value();
  const auto c = data::read_cifar10(disk, "c").value();
  CHECK(std::equal(a.train->images.begin(), a.train->images.end(), b.train->images.begin()));
  CHECK(std::equal(a.test->labels.begin(), a.test->labels.end(), b.test->labels.begin()));
  CHECK(a.train->images != c.train->images);
}

TEST_CASE("Shapes-10 refuses counts that leave a file empty", "[data]") {
  MemoryDisk disk;
  for (const auto& [train, test] : {std::pair{4, 1}, std::pair{5, 0}, std::pair{-5, 5}}) {
    const auto done = data::write_shapes10(disk, "s", 1, train, test);
    REQUIRE_FALSE(done.ok());
    CHECK(done.error().code() == ErrorCode::invalid_argument);
  }
  CHECK(data::write_shapes10(disk, "s", 1, 5, 1).ok());
  CHECK(data::read_cifar10(disk, "s").ok());
}

TEST_CASE("a disk that fills up is told", "[data]") {
  MemoryDisk disk;
  disk.set_capacity(100'000);
  const auto done = data::write_shapes10(disk, "s", 1, 100, 10);
  REQUIRE_FALSE(done.ok());
  CHECK(done.error().code() == ErrorCode::disk_full);
}
