#include "bool_bytes.hpp"
#include "safetensors_layout.hpp"

#include <troupe/io/safetensors.hpp>

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <utility>

namespace troupe::io {
namespace {

static_assert(std::endian::native == std::endian::little, "the format's data is little-endian");

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Turns a layout and the bytes after the header into tensors that share `file`.
Result<Safetensors> collect(
    Layout layout,
    std::span<const std::byte> data,
    std::uint64_t data_start,
    const std::shared_ptr<const void>& file,
    const std::string& path) {
  Safetensors result;
  result.metadata = std::move(layout.metadata);
  result.tensors.reserve(layout.entries.size());
  for (Layout::Entry& entry : layout.entries) {
    const auto bytes = data.subspan(entry.begin, entry.end - entry.begin);
    const auto no_bool =
        entry.dtype == DType::boolean ? find_no_bool(bytes) : std::optional<std::size_t>();
    if (no_bool) {
      return file_error(
          ErrorCode::file_corrupt,
          path,
          data_start + entry.begin + *no_bool,
          "a bool of '" + entry.name + "' is " +
              std::to_string(std::to_integer<int>(bytes[*no_bool])));
    }
    const bool aligned = reinterpret_cast<std::uintptr_t>(bytes.data()) % size_of(entry.dtype) == 0;
    if (aligned) {
      result.tensors.emplace_back(std::move(entry.name), entry.dtype, entry.shape, bytes, file);
    } else {
      result.tensors.emplace_back(
          std::move(entry.name),
          entry.dtype,
          entry.shape,
          std::vector<std::byte>(bytes.begin(), bytes.end()));
    }
  }
  return result;
}

Result<void> check_length(std::uint64_t file_bytes, const std::string& path) {
  if (file_bytes >= length_bytes) return {};
  return file_error(
      ErrorCode::file_truncated,
      path,
      file_bytes,
      "a safetensors file begins with 8 bytes that tell the header's length");
}

}  // namespace

const HostTensor* Safetensors::find(std::string_view name) const noexcept {
  for (const HostTensor& tensor : tensors) {
    if (tensor.name() == name) return &tensor;
  }
  return nullptr;
}

Result<Safetensors> read_safetensors(Disk& disk, const std::string& path) {
  auto opened = disk.open(path);
  if (!opened) return opened.error();
  DiskFile& file = *opened.value();
  auto size = file.size();
  if (!size) return size.error();
  if (auto done = check_length(size.value(), path); !done) return done.error();
  std::array<std::byte, length_bytes> prefix{};
  if (auto done = file.read(0, prefix); !done) return done.error();
  auto header_length = read_header_length(prefix, size.value(), path);
  if (!header_length) return header_length.error();

  // The header first: a file whose header is not sound is not worth the memory of its data.
  std::vector<std::byte> header(header_length.value());
  if (auto done = file.read(length_bytes, header); !done) return done.error();
  const std::uint64_t data_start = length_bytes + header.size();
  auto layout = parse_layout(text_of(header), size.value() - data_start, path);
  if (!layout) return layout.error();

  auto data = std::make_shared<std::vector<std::byte>>();
  try {
    data->resize(size.value() - data_start);
  } catch (const std::exception&) {
    return Error(
        ErrorCode::out_of_memory,
        path + ": no memory for its " + std::to_string(size.value() - data_start) + " bytes");
  }
  if (auto done = file.read(data_start, *data); !done) return done.error();
  return collect(std::move(layout).value(), *data, data_start, data, path);
}

Result<Safetensors> parse_safetensors(
    std::shared_ptr<const std::vector<std::byte>> file, const std::string& path) {
  const std::span<const std::byte> bytes = *file;
  if (auto done = check_length(bytes.size(), path); !done) return done.error();
  auto header_length = read_header_length(bytes.first<length_bytes>(), bytes.size(), path);
  if (!header_length) return header_length.error();
  const std::uint64_t data_start = length_bytes + header_length.value();
  const auto header = bytes.subspan(length_bytes, header_length.value());
  auto layout = parse_layout(text_of(header), bytes.size() - data_start, path);
  if (!layout) return layout.error();
  return collect(
      std::move(layout).value(), bytes.subspan(data_start), data_start, std::move(file), path);
}

Result<std::vector<std::byte>> encode_safetensors(
    std::span<const HostTensor> tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<std::size_t> order;
  auto header = make_header(tensors, metadata, order);
  if (!header) return header.error();
  const auto front = std::as_bytes(std::span(header.value()));
  std::size_t size = front.size();
  for (const HostTensor& tensor : tensors) size += tensor.bytes().size();
  std::vector<std::byte> file;
  file.reserve(size);
  file.insert(file.end(), front.begin(), front.end());
  for (const std::size_t i : order)
    file.insert(file.end(), tensors[i].bytes().begin(), tensors[i].bytes().end());
  return file;
}

Result<void> write_safetensors(
    Disk& disk,
    const std::string& path,
    std::span<const HostTensor> tensors,
    const std::map<std::string, std::string>& metadata) {
  std::vector<std::size_t> order;
  auto header = make_header(tensors, metadata, order);
  if (!header) return header.error();
  return disk.replace(path, [&](DiskFile& file) -> Result<void> {
    if (auto done = file.append(std::as_bytes(std::span(header.value()))); !done) return done;
    for (const std::size_t i : order) {
      if (auto done = file.append(tensors[i].bytes()); !done) return done;
    }
    return {};
  });
}

}  // namespace troupe::io
