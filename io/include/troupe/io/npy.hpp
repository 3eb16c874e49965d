#pragma once

#include <troupe/core/disk.hpp>
#include <troupe/io/host_tensor.hpp>

#include <string>

namespace troupe::io {

/// Reads NumPy's .npy file of one array, format 1.0 to 3.0; the tensor is named by `path`.
///
/// Dtypes   float64, float32, float16, int64, int32, uint8, bool, of either byte order; others are
///          `unsupported`, and so are arrays in Fortran order.
/// Memory   the file's size, once, after its header was found sound.
/// Errors   `file_truncated`, `file_corrupt` with path, byte offset and reason.
[[nodiscard]] Result<HostTensor> read_npy(Disk& disk, const std::string& path);

/// Replaces the file at `path` atomically with the tensor, in format 1.0, byte for byte as NumPy
/// writes it. bfloat16 is `unsupported`: NumPy has no such dtype.
[[nodiscard]] Result<void> write_npy(Disk& disk, const std::string& path, const HostTensor& tensor);

}  // namespace troupe::io
