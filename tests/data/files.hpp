#pragma once

#include <troupe/core/disk.hpp>

#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::data::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::string big_endian(std::uint64_t value, std::size_t width = 4) {
  std::string text;
  for (std::size_t i = width; i-- > 0;) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

/// An IDX header: type code, then the sizes.
inline std::string idx_header(std::uint8_t code, const std::vector<std::uint32_t>& sizes) {
  std::string text{'\0', '\0', static_cast<char>(code), static_cast<char>(sizes.size())};
  for (const std::uint32_t size : sizes) text += big_endian(size);
  return text;
}

/// 0, 1, 2, … as bytes, over and over.
inline std::string counting(std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) text += static_cast<char>(i & 0xff);
  return text;
}

/// `content` as a gzip file.
inline std::string gzipped(const std::string& content) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
  std::string packed(deflateBound(&stream, content.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
  stream.avail_in = static_cast<uInt>(content.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  deflate(&stream, Z_FINISH);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

}  // namespace troupe::data::test
