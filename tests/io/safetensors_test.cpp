#include "bytes.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/io/safetensors.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <string>

namespace {

namespace io = troupe::io;
using io::test::equal;
using io::test::floats;
using io::test::values_of;
using troupe::DType;
using troupe::ErrorCode;
using troupe::sim::MemoryDisk;

/// A file made by make_safetensors.py.
troupe::Result<io::Safetensors> read_sample(const std::string& name) {
  const auto disk = troupe::make_real_disk();
  return io::read_safetensors(*disk, std::string(TROUPE_TEST_FILES) + "/" + name);
}

std::vector<io::HostTensor> some_tensors() {
  const auto make =
      [](std::string name, DType dtype, const troupe::Shape& shape, std::size_t bytes) {
        std::vector<std::byte> content(bytes);
        for (std::size_t i = 0; i < bytes; ++i) {
          content[i] =
              std::byte{static_cast<unsigned char>(dtype == DType::boolean ? i % 2 : 3 * i)};
        }
        return io::HostTensor(std::move(name), dtype, shape, std::move(content));
      };
  return {
      make("z.bool", DType::boolean, {3}, 3),
      make("b.float", DType::float32, {2, 2}, 16),
      make("a.float", DType::float32, {1}, 4),
      make("half", DType::float16, {3}, 6),
      make("brain", DType::bfloat16, {1, 1}, 2),
      make("byte", DType::uint8, {5}, 5),
      make("int", DType::int32, {}, 4),
      make("long", DType::int64, {1}, 8),
      make("double", DType::float64, {2}, 16),
      make("empty \"quoted\" ü", DType::float32, {0, 3}, 0)};
}

}  // namespace

TEST_CASE("a file laid out by Python's library is read", "[io]") {
  const auto file = read_sample("sample.safetensors").value();
  CHECK(file.metadata == std::map<std::string, std::string>{{"format", "pt"}});
  REQUIRE(file.tensors.size() == 9);
  CHECK(
      values_of<std::int64_t>(*file.find("steps")) ==
      std::vector<std::int64_t>{-1, (std::int64_t{1} << 53) + 1});
  CHECK(values_of<double>(*file.find("mean")) == std::vector<double>{0.1});
  CHECK(file.find("mean")->shape().empty());
  CHECK(values_of<float>(*file.find("a.weight")) == std::vector<float>{0, 1, 2, 3, 4, 5});
  CHECK(file.find("a.weight")->shape() == troupe::Shape{2, 3});
  CHECK(file.find("b.weight")->shape() == troupe::Shape{0, 4});
  CHECK(values_of<std::int32_t>(*file.find("index")) == std::vector<std::int32_t>{-7, 0, 7});
  CHECK(file.find("brain")->dtype() == DType::bfloat16);
  CHECK(
      values_of<std::uint16_t>(*file.find("brain")) == std::vector<std::uint16_t>{0x3f80, 0xc000});
  CHECK(file.find("half")->dtype() == DType::float16);
  CHECK(values_of<std::uint16_t>(*file.find("half")) == std::vector<std::uint16_t>{0x3c00, 0xc000});
  CHECK(values_of<std::uint8_t>(*file.find("pixels")) == std::vector<std::uint8_t>{0, 1, 254, 255});
  CHECK(file.find("mask")->dtype() == DType::boolean);
  CHECK(values_of<std::uint8_t>(*file.find("mask")) == std::vector<std::uint8_t>{1, 0, 1});
  CHECK(file.find("nothing") == nullptr);
}

TEST_CASE("what we write is what Python's library writes, byte for byte", "[io]") {
  const auto file = read_sample("sample.safetensors").value();
  auto shuffled = file.tensors;
  std::reverse(shuffled.begin(), shuffled.end());
  MemoryDisk disk;
  io::write_safetensors(disk, "copy", shuffled, file.metadata).value();
  const auto real = troupe::make_real_disk();
  CHECK(
      disk.read_all("copy").value() ==
      real->read_all(std::string(TROUPE_TEST_FILES) + "/sample.safetensors").value());
}

TEST_CASE("an unaligned file is read into aligned tensors", "[io]") {
  const auto file = read_sample("unaligned.safetensors").value();
  const io::HostTensor& w = *file.find("w");
  CHECK(values_of<float>(w) == std::vector<float>{1.5, -2.5});
  CHECK(reinterpret_cast<std::uintptr_t>(w.bytes().data()) % 4 == 0);
  CHECK(file.tensors[0].name() == "w");  // the header's order
}

TEST_CASE("tensors survive a round trip, with their metadata", "[io]") {
  const auto tensors = some_tensors();
  MemoryDisk disk;
  io::write_safetensors(disk, "f", tensors, {{"k", "v"}, {"a", ""}}).value();
  const auto file = io::read_safetensors(disk, "f").value();
  CHECK(file.metadata == std::map<std::string, std::string>{{"k", "v"}, {"a", ""}});
  REQUIRE(file.tensors.size() == tensors.size());
  for (const auto& tensor : tensors) {
    REQUIRE(file.find(tensor.name()));
    CHECK(equal(*file.find(tensor.name()), tensor));
  }
  io::write_safetensors(disk, "none", {}).value();
  CHECK(io::read_safetensors(disk, "none").value().tensors.empty());
}

TEST_CASE("tensors that are read share one buffer", "[io]") {
  MemoryDisk disk;
  io::write_safetensors(disk, "f", some_tensors()).value();
  auto file = io::read_safetensors(disk, "f").value();
  const auto owner = file.tensors[0].owner();
  for (const auto& tensor : file.tensors) {
    CHECK_FALSE(tensor.owner().owner_before(owner));
    CHECK_FALSE(owner.owner_before(tensor.owner()));
  }
}

TEST_CASE("names that a file cannot hold are refused before it is touched", "[io]") {
  MemoryDisk disk;
  const auto refused = [&](std::vector<io::HostTensor> tensors) {
    const auto done = io::write_safetensors(disk, "f", tensors);
    return !done.ok() && done.error().code() == ErrorCode::invalid_argument && !disk.exists("f");
  };
  CHECK(refused({floats("w", {1}, {1}), floats("w", {1}, {2})}));
  CHECK(refused({floats("__metadata__", {1}, {1})}));
  CHECK(refused({floats("\xff", {1}, {1})}));
}

TEST_CASE("every prefix of a file is an error that names the file", "[io]") {
  MemoryDisk disk;
  io::write_safetensors(disk, "f", some_tensors()).value();
  const auto whole = disk.read_all("f").value();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    disk.put("g", std::span(whole).first(size));
    const auto read = io::read_safetensors(disk, "g");
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().code() == ErrorCode::file_truncated);
    CHECK(read.error().message().starts_with("g: at byte "));
  }
}
