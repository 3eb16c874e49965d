#include "byte_source.hpp"

#include <troupe/data/idx.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <new>
#include <optional>

namespace troupe::data {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 22;

std::optional<DType> dtype_of_code(std::uint8_t code) {
  switch (code) {
    case 0x08:
      return DType::uint8;
    case 0x0c:
      return DType::int32;
    case 0x0d:
      return DType::float32;
    case 0x0e:
      return DType::float64;
    default:
      return std::nullopt;
  }
}

/// The bytes that the array's shape says; nothing when their number overflows, be it only before a
/// size of zero, where `elements_in` would.
std::optional<std::uint64_t> bytes_of(const IdxArray& array) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = size_of(array.dtype);
  bool empty = false;
  for (const std::int64_t size : array.shape) {
    if (size == 0) empty = true;
    const auto factor = static_cast<std::uint64_t>(std::max<std::int64_t>(size, 1));
    if (bytes > most / factor) return std::nullopt;
    bytes *= factor;
  }
  return empty ? 0 : bytes;
}

/// Reads one file from front to back and knows where it stands, for the errors.
class Reader {
 public:
  Reader(ByteSource& source, const std::string& path) : source_(source), path_(path) {}

  [[nodiscard]] Error error(ErrorCode code, std::uint64_t offset, const std::string& reason) const {
    return file_error(code, path_, offset, reason);
  }

  /// Fills `into`, or `file_truncated` saying what was being read.
  Result<void> read(std::span<std::byte> into, const char* what) {
    auto count = source_.read(into);
    if (!count) return count.error();
    offset_ += count.value();
    if (count.value() < into.size()) {
      return error(
          ErrorCode::file_truncated,
          offset_,
          std::string("the file ends within ") + what + ", " +
              std::to_string(into.size() - count.value()) + " bytes too early");
    }
    return {};
  }

  Result<void> read_header(IdxArray& array);
  Result<void> read_elements(IdxArray& array, std::uint64_t bytes_max);
  Result<void> expect_end();

 private:
  ByteSource& source_;
  const std::string& path_;
  std::uint64_t offset_ = 0;
};

Result<void> Reader::read_header(IdxArray& array) {
  std::array<std::byte, 4> magic{};
  if (auto done = read(magic, "the magic number"); !done) return done;
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0}) {
    return error(ErrorCode::file_corrupt, 0, "not an IDX file: its first two bytes are not zero");
  }
  const auto code = std::to_integer<std::uint8_t>(magic[2]);
  const auto dtype = dtype_of_code(code);
  if (!dtype) {
    const bool known = code == 0x09 || code == 0x0b;
    return error(
        known ? ErrorCode::unsupported : ErrorCode::file_corrupt,
        2,
        known ? "elements of type int8 or int16 are not read here"
              : "type code " + std::to_string(code) + " is none of the format's");
  }
  array.dtype = *dtype;
  const auto rank = std::to_integer<std::size_t>(magic[3]);
  if (rank == 0 || rank > rank_max) {
    return error(
        ErrorCode::file_corrupt,
        3,
        std::to_string(rank) + " dimensions, where 1 to " + std::to_string(rank_max) + " can be");
  }
  for (std::size_t i = 0; i < rank; ++i) {
    std::array<std::byte, 4> size{};
    if (auto done = read(size, "the dimensions"); !done) return done;
    std::int64_t value = 0;
    for (const std::byte b : size) value = value << 8 | std::to_integer<std::int64_t>(b);
    array.shape.push_back(value);
  }
  return {};
}

Result<void> Reader::read_elements(IdxArray& array, std::uint64_t bytes_max) {
  const auto needed = bytes_of(array);
  if (!needed) {
    return error(
        ErrorCode::file_corrupt,
        4,
        "the product of dimensions " + to_string(array.shape) + " overflows");
  }
  const std::uint64_t total = *needed;
  if (total > source_.bytes_left_max()) {
    return error(
        ErrorCode::file_truncated,
        offset_,
        "dimensions " + to_string(array.shape) + " need " + std::to_string(total) +
            " bytes, but at most " + std::to_string(source_.bytes_left_max()) + " can follow");
  }
  if (total > bytes_max) {
    return error(
        ErrorCode::file_io,
        4,
        "dimensions " + to_string(array.shape) + " need " + std::to_string(total) +
            " bytes, more than the " + std::to_string(bytes_max) + " that are read here");
  }
  // Piece by piece: a header that claims more than a compressed file then yields costs no more
  // memory than what came out of it.
  try {
    while (array.bytes.size() < total) {
      const std::size_t start = array.bytes.size();
      const auto count =
          static_cast<std::size_t>(std::min<std::uint64_t>(piece_bytes, total - start));
      if (start + count > array.bytes.capacity()) {
        array.bytes.reserve(
            static_cast<std::size_t>(std::min<std::uint64_t>(total, 2 * (start + count))));
      }
      array.bytes.resize(start + count);
      if (auto done = read(std::span(array.bytes).subspan(start), "the elements"); !done) {
        return done;
      }
    }
  } catch (const std::bad_alloc&) {
    return Error(
        ErrorCode::out_of_memory, path_ + ": no memory for " + std::to_string(total) + " bytes");
  }
  return {};
}

Result<void> Reader::expect_end() {
  std::array<std::byte, 1> extra{};
  auto count = source_.read(extra);
  if (!count) return count.error();
  if (count.value() != 0) {
    return error(
        ErrorCode::file_corrupt, offset_, "bytes follow the last element that the header counts");
  }
  return {};
}

/// The format is big-endian.
void to_native_order(IdxArray& array) {
  const std::size_t width = size_of(array.dtype);
  if (std::endian::native == std::endian::big || width == 1) return;
  for (std::size_t i = 0; i < array.bytes.size(); i += width) {
    std::reverse(array.bytes.data() + i, array.bytes.data() + i + width);
  }
}

}  // namespace

Result<IdxArray> read_idx(Disk& disk, const std::string& path, std::uint64_t bytes_max) {
  auto source = open_byte_source(disk, path);
  if (!source) return source.error();
  Reader reader(*source.value(), path);
  IdxArray array;
  if (auto done = reader.read_header(array); !done) return done.error();
  if (auto done = reader.read_elements(array, bytes_max); !done) return done.error();
  if (auto done = reader.expect_end(); !done) return done.error();
  to_native_order(array);
  return array;
}

}  // namespace troupe::data
