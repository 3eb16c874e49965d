#pragma once

#include <troupe/core/disk.hpp>
#include <troupe/io/host_tensor.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace troupe::io::test {

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

inline std::vector<std::byte> copy_of(std::string_view text) {
  const auto bytes = bytes_of(text);
  return {bytes.begin(), bytes.end()};
}

template <class T>
std::vector<std::byte> bytes_of_values(const std::vector<T>& values) {
  const auto bytes = std::as_bytes(std::span(values));
  return {bytes.begin(), bytes.end()};
}

/// The elements of a tensor, copied out.
template <class T>
std::vector<T> values_of(const HostTensor& tensor) {
  std::vector<T> values(tensor.bytes().size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), tensor.bytes().data(), tensor.bytes().size());
  return values;
}

inline HostTensor floats(std::string name, const Shape& shape, const std::vector<float>& values) {
  return {std::move(name), DType::float32, shape, bytes_of_values(values)};
}

inline bool equal(const HostTensor& a, const HostTensor& b) {
  return a.name() == b.name() && a.dtype() == b.dtype() && a.shape() == b.shape() &&
         values_of<std::byte>(a) == values_of<std::byte>(b);
}

/// A number as `width` little-endian bytes.
inline std::string little_endian(std::uint64_t value, std::size_t width = 8) {
  std::string text;
  for (std::size_t i = 0; i < width; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

/// The bytes of a safetensors file with this header, its length put before it.
inline std::string safetensors_file(const std::string& header, const std::string& data = "") {
  return little_endian(header.size()) + header + data;
}

}  // namespace troupe::io::test
