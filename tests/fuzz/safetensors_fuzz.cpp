#include "expect.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/io/safetensors.hpp>

#include <algorithm>

// Any bytes are tensors that survive being written and read again, or a typed error; from disk and
// from memory alike.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  const auto bytes = fuzz::bytes_of(data, size);
  sim::MemoryDisk disk;
  disk.put("f", bytes);
  const auto file = io::read_safetensors(disk, "f");
  const auto parsed = io::parse_safetensors(
      std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end()), "f");
  fuzz::expect(file.ok() == parsed.ok(), "disk and memory agree");
  if (!file) {
    fuzz::expect_file_error(file.error(), {"f"});
    fuzz::expect(file.error().message() == parsed.error().message(), "disk and memory agree");
    return 0;
  }
  const auto written =
      io::write_safetensors(disk, "g", file.value().tensors, file.value().metadata);
  written.value();
  const auto again = io::read_safetensors(disk, "g").value();
  fuzz::expect(again.metadata == file.value().metadata, "the metadata comes back");
  fuzz::expect(again.tensors.size() == file.value().tensors.size(), "all tensors come back");
  for (const io::HostTensor& tensor : file.value().tensors) {
    const io::HostTensor* other = again.find(tensor.name());
    fuzz::expect(other != nullptr, "a tensor comes back by its name");
    fuzz::expect(
        other->dtype() == tensor.dtype() && other->shape() == tensor.shape() &&
            std::equal(
                tensor.bytes().begin(),
                tensor.bytes().end(),
                other->bytes().begin(),
                other->bytes().end()),
        "a tensor comes back as it was");
  }
  return 0;
}
