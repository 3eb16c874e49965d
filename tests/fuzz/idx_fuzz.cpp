#include "expect.hpp"

#include <troupe/core/sim_disk.hpp>
#include <troupe/data/idx.hpp>

// Any bytes are an IDX array of the size that its shape says, or a typed error.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe;
  sim::MemoryDisk disk;
  disk.put("f", fuzz::bytes_of(data, size));
  const auto array = data::read_idx(disk, "f", 1 << 24);
  if (!array) {
    fuzz::expect_file_error(array.error(), {"f"});
    return 0;
  }
  const auto elements = static_cast<std::size_t>(elements_in(array.value().shape));
  fuzz::expect(
      array.value().bytes.size() == elements * size_of(array.value().dtype),
      "an array has the bytes of its shape");
  return 0;
}
