#pragma once

#include <troupe/core/result.hpp>
#include <troupe/io/host_tensor.hpp>

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::io {

/// Bytes before the header: its length, little-endian.
inline constexpr std::uint64_t length_bytes = 8;
/// Python's library refuses longer headers, so we neither read nor write them.
inline constexpr std::uint64_t header_bytes_max = 100'000'000;

/// What the header of a safetensors file says.
struct Layout {
  /// One tensor: its bytes are [begin, end) of what follows the header.
  struct Entry {
    std::string name;
    DType dtype = DType::float32;
    Shape shape;
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };

  std::vector<Entry> entries;  ///< in the order of the header
  std::map<std::string, std::string> metadata;
};

/// The header's length from the file's first bytes, checked against the file's size.
[[nodiscard]] Result<std::uint64_t> read_header_length(
    std::span<const std::byte, length_bytes> bytes,
    std::uint64_t file_bytes,
    const std::string& path);

/// Reads the header and checks that its tensors fill the file's `data_bytes` without gap or
/// overlap.
[[nodiscard]] Result<Layout> parse_layout(
    std::string_view header, std::uint64_t data_bytes, const std::string& path);

/// Places the tensors one after another and returns the header to write before them, length and
/// padding included; `order` becomes the tensors' indices in the order of their bytes.
[[nodiscard]] Result<std::string> make_header(
    std::span<const HostTensor> tensors,
    const std::map<std::string, std::string>& metadata,
    std::vector<std::size_t>& order);

}  // namespace troupe::io
