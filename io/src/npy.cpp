#include "bool_bytes.hpp"

#include <troupe/io/npy.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace troupe::io {
namespace {

static_assert(std::endian::native == std::endian::little, "what is written is said to be so");

constexpr std::string_view magic = "\x93NUMPY";
/// NumPy's own limit is 10,000 characters for headers that it does not trust.
constexpr std::uint64_t header_bytes_max = 10'000;
/// NumPy pads so that the elements begin at a multiple of this.
constexpr std::size_t alignment = 64;

/// NumPy's names without their byte order, by the number of the dtype; bfloat16 has none.
constexpr std::array<std::string_view, dtype_count> numpy_names = {
    "f4", "f8", "i4", "i8", "u1", "b1", "", "f2"};

struct Header {
  DType dtype = DType::float32;
  bool big_endian = false;
  Shape shape;
  std::uint64_t elements_at = 0;  ///< offset in the file
};

/// Reads the header's text, the literal of a Python dict such as
/// {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }.
class DictReader {
 public:
  DictReader(std::string_view text, const std::string& path, std::uint64_t offset)
      : text_(text), path_(path), offset_(offset) {}

  Result<void> read(Header& header) {
    if (!take("{")) return refuse("no dict");
    int fields = 0;
    while (!take("}")) {
      const auto name = take_string();
      if (!name || !take(":")) return refuse("no name where one belongs");
      auto done = read_field(*name, header, fields);
      if (!done) return done;
      if (!take(",") && !next_is('}')) return refuse("neither ',' nor '}' after a value");
    }
    skip_space();
    if (at_ != text_.size()) return refuse("text after the dict");
    if (fields != (descr | order | shape))
      return refuse("descr, fortran_order or shape is missing");
    return {};
  }

 private:
  static constexpr int descr = 1;
  static constexpr int order = 2;
  static constexpr int shape = 4;

  Result<void> read_field(std::string_view name, Header& header, int& fields) {
    const int field = name == "descr"           ? descr
                      : name == "fortran_order" ? order
                      : name == "shape"         ? shape
                                                : 0;
    if (field == 0) return refuse("a field that is none of the format's");
    if ((fields & field) != 0) return refuse("a field is given twice");
    fields |= field;
    if (field == descr) return read_dtype(header);
    if (field == shape) return read_shape(header);
    if (take("False")) return {};
    if (!take("True")) return refuse("fortran_order is neither True nor False");
    return Error(ErrorCode::unsupported, path_ + ": holds an array in Fortran order")
        .hint("save it with numpy.ascontiguousarray");
  }

  Result<void> read_dtype(Header& header) {
    const auto name = take_string();
    if (!name || name->size() < 2) return refuse("descr is no dtype's name");
    const char order_mark = name->front();
    if (std::string_view("<>|=").find(order_mark) == std::string_view::npos) {
      return refuse("descr does not begin with a byte order");
    }
    const auto found = std::find(numpy_names.begin(), numpy_names.end(), name->substr(1));
    if (found == numpy_names.end()) {
      std::string shown(name->substr(0, 20));
      return Error(
          ErrorCode::unsupported, path_ + ": holds elements of NumPy's dtype '" + shown + "'");
    }
    header.dtype = static_cast<DType>(found - numpy_names.begin());
    header.big_endian = order_mark == '>';
    return {};
  }

  Result<void> read_shape(Header& header) {
    if (!take("(")) return refuse("shape is no tuple");
    while (!take(")")) {
      const auto size = take_number();
      if (!size) return refuse("shape holds what is no size");
      if (header.shape.size() == rank_max) {
        return Error(
            ErrorCode::unsupported,
            path_ + ": has more than " + std::to_string(rank_max) + " dimensions");
      }
      header.shape.push_back(*size);
      if (!take(",") && !next_is(')')) return refuse("neither ',' nor ')' after a size");
    }
    return {};
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool next_is(char c) {
    skip_space();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool take(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  std::optional<std::string_view> take_string() {
    if (!next_is('\'') && !next_is('"')) return std::nullopt;
    const std::size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view content = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return content;
  }
  std::optional<std::int64_t> take_number() {
    skip_space();
    const std::size_t start = at_;
    std::int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const std::int64_t digit = text_[at_] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10) return std::nullopt;
      value = 10 * value + digit;
    }
    if (at_ == start) return std::nullopt;
    return value;
  }

  [[nodiscard]] Error refuse(const std::string& reason) const {
    return file_error(ErrorCode::file_corrupt, path_, offset_ + at_, "in the header: " + reason);
  }

  std::string_view text_;
  const std::string& path_;
  std::uint64_t offset_;
  std::size_t at_ = 0;
};

/// Reads what stands before the elements, and checks it against the file's size.
Result<Header> read_header(DiskFile& file, std::uint64_t file_bytes, const std::string& path) {
  constexpr std::uint64_t shortest_header = 10;
  if (file_bytes < shortest_header) {
    return file_error(
        ErrorCode::file_truncated, path, file_bytes, "the file ends before NumPy's header");
  }
  std::array<std::byte, 12> start{};
  const auto count = std::min<std::uint64_t>(file_bytes, start.size());
  if (auto done = file.read(0, std::span(start).first(count)); !done) return done.error();
  const std::string_view text(reinterpret_cast<const char*>(start.data()), magic.size());
  if (text != magic) {
    return file_error(ErrorCode::file_corrupt, path, 0, "not NumPy's format: no magic number");
  }
  const auto byte = [&](std::size_t i) { return std::to_integer<std::uint64_t>(start[i]); };
  const std::uint64_t version = byte(6);
  if (version < 1 || version > 3) {
    return file_error(
        ErrorCode::unsupported, path, 6, "format " + std::to_string(version) + " of NumPy's");
  }
  const std::uint64_t prefix = version == 1 ? 10 : 12;
  std::uint64_t length = byte(8) | byte(9) << 8;
  if (version > 1) length |= byte(10) << 16 | byte(11) << 24;
  if (length > header_bytes_max) {
    return file_error(
        ErrorCode::file_corrupt, path, 8, "a header of " + std::to_string(length) + " bytes");
  }
  if (file_bytes < prefix + length) {
    return file_error(
        ErrorCode::file_truncated, path, file_bytes, "the file ends within its header");
  }
  std::string content(length, '\0');
  if (auto done = file.read(prefix, std::as_writable_bytes(std::span(content))); !done) {
    return done.error();
  }
  Header header;
  header.elements_at = prefix + length;
  if (auto done = DictReader(content, path, prefix).read(header); !done) return done.error();
  return header;
}

void swap_bytes(std::vector<std::byte>& bytes, std::size_t width) {
  for (std::size_t i = 0; i < bytes.size(); i += width) {
    std::reverse(bytes.data() + i, bytes.data() + i + width);
  }
}

std::string header_text(const HostTensor& tensor) {
  const char order = size_of(tensor.dtype()) == 1 ? '|' : '<';
  std::string text = "{'descr': '";
  text += order;
  text += numpy_names[static_cast<std::size_t>(tensor.dtype())];
  text += "', 'fortran_order': False, 'shape': (";
  for (const std::int64_t size : tensor.shape()) text += std::to_string(size) + ", ";
  // As Python prints tuples: (), (2,), (2, 3).
  if (!tensor.shape().empty()) text.resize(text.size() - (tensor.shape().size() == 1 ? 1 : 2));
  text += "), }";
  constexpr std::size_t prefix = 10;
  text.append(alignment - 1 - (prefix + text.size()) % alignment, ' ');
  text += '\n';
  std::string header(magic);
  header +=
      {'\1', '\0', static_cast<char>(text.size() & 0xff), static_cast<char>(text.size() >> 8)};
  return header + text;
}

}  // namespace

Result<HostTensor> read_npy(Disk& disk, const std::string& path) {
  auto opened = disk.open(path);
  if (!opened) return opened.error();
  DiskFile& file = *opened.value();
  auto size = file.size();
  if (!size) return size.error();
  auto header = read_header(file, size.value(), path);
  if (!header) return header.error();
  const Header& array = header.value();

  std::uint64_t needed = 0;
  if (!bytes_needed(array.shape, array.dtype, needed)) {
    return file_error(
        ErrorCode::file_corrupt, path, 10, "the shape " + to_string(array.shape) + " overflows");
  }
  const std::uint64_t there = size.value() - array.elements_at;
  if (needed != there) {
    return file_error(
        needed > there ? ErrorCode::file_truncated : ErrorCode::file_corrupt,
        path,
        array.elements_at + std::min(needed, there),
        std::to_string(there) + " bytes of elements, where " + std::string(name_of(array.dtype)) +
            " " + to_string(array.shape) + " needs " + std::to_string(needed));
  }
  std::vector<std::byte> bytes;
  try {
    bytes.resize(needed);
  } catch (const std::exception&) {
    return Error(
        ErrorCode::out_of_memory,
        path + ": no memory for its " + std::to_string(needed) + " bytes");
  }
  if (auto done = file.read(array.elements_at, bytes); !done) return done.error();
  if (array.big_endian) swap_bytes(bytes, size_of(array.dtype));
  if (array.dtype == DType::boolean) {
    if (const auto place = find_no_bool(bytes)) {
      return file_error(
          ErrorCode::file_corrupt,
          path,
          array.elements_at + *place,
          "a bool that is neither 0 nor 1");
    }
  }
  return HostTensor(path, array.dtype, array.shape, std::move(bytes));
}

Result<void> write_npy(Disk& disk, const std::string& path, const HostTensor& tensor) {
  if (tensor.dtype() == DType::bfloat16) {
    return Error(
               ErrorCode::unsupported,
               "'" + tensor.name() + "' is bfloat16, which NumPy's format has not")
        .hint("convert it to float32, or write safetensors");
  }
  const std::string header = header_text(tensor);
  return disk.replace(path, [&](DiskFile& file) -> Result<void> {
    if (auto done = file.append(std::as_bytes(std::span(header))); !done) return done;
    return file.append(tensor.bytes());
  });
}

}  // namespace troupe::io
