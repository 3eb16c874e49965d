#pragma once

#include <troupe/core/disk.hpp>
#include <troupe/tensor/dtype.hpp>
#include <troupe/tensor/shape.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace troupe::data {

/// What an IDX file holds: one array, its elements in the machine's own byte order.
struct IdxArray {
  DType dtype = DType::uint8;
  Shape shape;
  std::vector<std::byte> bytes;  ///< row-major; `elements_in(shape) * size_of(dtype)` of them
};

/// Reads an IDX file (the format of MNIST and its kin), plain or gzip-compressed, told apart by the
/// first two bytes and not by the name.
///
/// Dtype     uint8, int32, float32, float64; the format's int8 and int16 are `unsupported`.
/// Memory    allocates what the header says, once the file has shown that it can hold as much: a
///           compressed file is unpacked piece by piece and never further than one byte past that.
/// Errors    `file_truncated` or `file_corrupt` with path, byte offset (in the unpacked content)
/// and
///           reason; `file_io` for an array of more than `bytes_max` bytes; what the disk returns.
[[nodiscard]] Result<IdxArray> read_idx(
    Disk& disk, const std::string& path, std::uint64_t bytes_max = std::uint64_t{1} << 33);

}  // namespace troupe::data
