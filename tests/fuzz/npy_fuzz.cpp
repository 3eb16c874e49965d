#include "expect.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/io/npy.hpp>

#include <algorithm>

// Any bytes are a tensor that survives being written and read again, or a typed error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  sim::MemoryDisk disk;
  disk.put("f", fuzz::bytes_of(data, size));
  const auto tensor = io::read_npy(disk, "f");
  if (!tensor) {
    fuzz::expect_file_error(tensor.error(), {"f"});
    return 0;
  }
  io::write_npy(disk, "g", tensor.value()).value();
  const auto again = io::read_npy(disk, "g").value();
  const auto before = tensor.value().bytes();
  const auto after = again.bytes();
  fuzz::expect(
      again.dtype() == tensor.value().dtype() && again.shape() == tensor.value().shape() &&
          std::equal(before.begin(), before.end(), after.begin(), after.end()),
      "a tensor comes back as it was");
  return 0;
}
