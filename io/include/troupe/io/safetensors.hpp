#pragma once

#include <troupe/core/disk.hpp>
#include <troupe/io/host_tensor.hpp>

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::io {

/// What a safetensors file holds, in the order of its header.
struct Safetensors {
  std::vector<HostTensor> tensors;
  std::map<std::string, std::string> metadata;  ///< the header's "__metadata__"

  /// The tensor of that name, or null.
  [[nodiscard]] const HostTensor* find(std::string_view name) const noexcept;
};

/// Reads a safetensors file, as Python's library of that name and ours write them.
///
/// Dtypes    F64 F32 F16 BF16 I64 I32 U8 BOOL; the format's others are `unsupported`, naming the
///           tensor.
/// Memory    the file's size, once: the tensors share one buffer. Only those that an unaligned
///           header puts at an odd place are copied.
/// Errors    `file_truncated`, `file_corrupt` with path, byte offset and reason: a header longer
/// than
///           the file, offsets that overlap, leave a gap or pass the end, a shape that its bytes
///           contradict, a name given twice; `unsupported` for more than `rank_max` dimensions.
[[nodiscard]] Result<Safetensors> read_safetensors(Disk& disk, const std::string& path);

/// The same for a file that is in memory already. `path` names it in errors.
[[nodiscard]] Result<Safetensors> parse_safetensors(
    std::shared_ptr<const std::vector<std::byte>> file, const std::string& path);

/// The bytes of the file that `write_safetensors` would write.
[[nodiscard]] Result<std::vector<std::byte>> encode_safetensors(
    std::span<const HostTensor> tensors, const std::map<std::string, std::string>& metadata = {});

/// Replaces the file at `path` atomically. Tensors are laid out as Python's library does: by dtype,
/// the widest first, then by name, so that each is aligned to its element size.
///
/// Errors    `invalid_argument` for two tensors of one name, for one named "__metadata__", for text
///           that is not UTF-8; what the disk returns.
[[nodiscard]] Result<void> write_safetensors(
    Disk& disk,
    const std::string& path,
    std::span<const HostTensor> tensors,
    const std::map<std::string, std::string>& metadata = {});

}  // namespace troupe::io
