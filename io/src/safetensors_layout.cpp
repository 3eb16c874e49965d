#include "safetensors_layout.hpp"

#include "json_events.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/io/tree.hpp>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <unordered_set>
#include <utility>

namespace troupe::io {
namespace {

constexpr std::string_view metadata_name = "__metadata__";

/// The format's names for our dtypes, by the number of the dtype.
constexpr std::array<std::string_view, dtype_count> format_names = {
    "F32", "F64", "I32", "I64", "U8", "BOOL", "BF16", "F16"};

/// Dtypes that the format has and Troupe has not.
constexpr std::array<std::string_view, 15> foreign_names = {
    "I8",
    "I16",
    "U16",
    "U32",
    "U64",
    "F8_E4M3",
    "F8_E5M2",
    "F8_E8M0",
    "F8_E4M3FNUZ",
    "F8_E5M2FNUZ",
    "F6_E2M3",
    "F6_E3M2",
    "F4",
    "C64",
    "C128"};

/// The order in which Python's library lays dtypes out: descending, so that alignment only shrinks.
constexpr std::array<std::uint8_t, dtype_count> layout_rank = {5, 6, 4, 7, 1, 0, 3, 2};

std::optional<DType> dtype_of_name(std::string_view name) {
  for (std::size_t i = 0; i < format_names.size(); ++i) {
    if (format_names[i] == name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::string quoted(std::string_view name) {
  // A name from a file may be long; an error need not be.
  constexpr std::size_t shown_max = 80;
  if (name.size() <= shown_max) return "'" + std::string(name) + "'";
  return "'" + std::string(name.substr(0, shown_max)) + "...'";
}

/// Hears the header and fills a layout. The header is three levels deep at most:
/// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"k":
/// "v"}}.
class HeaderReader final : public JsonEvents {
 public:
  explicit HeaderReader(Layout& layout) : layout_(layout) {}

  ErrorCode code() const { return code_; }

  std::string on_null() override { return misplaced("null"); }
  std::string on_bool(bool) override { return misplaced("a bool"); }
  std::string on_int(std::int64_t) override { return misplaced("a number below zero"); }
  std::string on_double(double) override { return misplaced("a number that is no integer"); }

  std::string on_uint(std::uint64_t value) override {
    if (place_ == Place::shape) {
      if (entry_.shape.size() == rank_max) {
        code_ = ErrorCode::unsupported;
        return quoted(entry_.name) + " has more than " + std::to_string(rank_max) + " dimensions";
      }
      if (value > static_cast<std::uint64_t>(INT64_MAX)) {
        return "the shape of " + quoted(entry_.name) + " overflows";
      }
      entry_.shape.push_back(static_cast<std::int64_t>(value));
      return {};
    }
    if (place_ == Place::offsets && offsets_ < 2) {
      (offsets_++ == 0 ? entry_.begin : entry_.end) = value;
      return {};
    }
    return misplaced("a number");
  }

  std::string on_string(std::string&& value) override {
    if (place_ == Place::metadata) {
      layout_.metadata[name_] = std::move(value);
      return {};
    }
    if (place_ != Place::tensor || name_ != "dtype") return misplaced("a string");
    if (const auto dtype = dtype_of_name(value)) {
      entry_.dtype = *dtype;
      return {};
    }
    const bool foreign =
        std::find(foreign_names.begin(), foreign_names.end(), value) != foreign_names.end();
    if (foreign) code_ = ErrorCode::unsupported;
    return quoted(entry_.name) + (foreign ? " has dtype " + value + ", which Troupe has not"
                                          : " has the unknown dtype " + quoted(value));
  }

  std::string on_map_begin() override {
    if (place_ == Place::start) {
      place_ = Place::top;
    } else if (place_ == Place::top && name_ == metadata_name) {
      place_ = Place::metadata;
    } else if (place_ == Place::top) {
      place_ = Place::tensor;
      entry_ = {};
      entry_.name = name_;
      offsets_ = 0;
      fields_.clear();
    } else {
      return misplaced("a map");
    }
    return {};
  }

  std::string on_name(std::string&& name) override {
    name_ = std::move(name);
    if (place_ == Place::tensor) {
      if (name_ != "dtype" && name_ != "shape" && name_ != "data_offsets") {
        return quoted(entry_.name) + " has the unknown field " + quoted(name_);
      }
      return fields_.insert(name_).second ? "" : twice(name_);
    }
    if (place_ == Place::metadata) return layout_.metadata.contains(name_) ? twice(name_) : "";
    return names_.insert(name_).second ? "" : twice(name_);
  }

  std::string on_map_end() override {
    if (place_ == Place::tensor) {
      if (fields_.size() != 3) {
        return quoted(entry_.name) + " lacks one of dtype, shape and data_offsets";
      }
      place_ = Place::top;
      std::string fault = check_entry();
      if (fault.empty()) layout_.entries.push_back(std::move(entry_));
      return fault;
    }
    place_ = place_ == Place::metadata ? Place::top : Place::start;
    return {};
  }

  std::string on_list_begin() override {
    if (place_ == Place::tensor && name_ == "shape") {
      place_ = Place::shape;
    } else if (place_ == Place::tensor && name_ == "data_offsets") {
      place_ = Place::offsets;
    } else {
      return misplaced("a list");
    }
    return {};
  }

  std::string on_list_end() override {
    if (place_ == Place::offsets && offsets_ != 2) {
      return quoted(entry_.name) + " does not have two data_offsets";
    }
    place_ = Place::tensor;
    return {};
  }

 private:
  enum class Place : std::uint8_t { start, top, metadata, tensor, shape, offsets };

  static std::string misplaced(const std::string& what) {
    return what + " stands where the format has none";
  }
  static std::string twice(const std::string& name) {
    return "the name " + quoted(name) + " is given twice";
  }

  [[nodiscard]] std::string check_entry() const {
    const std::string place = quoted(entry_.name) + " at offsets [" + std::to_string(entry_.begin) +
                              ", " + std::to_string(entry_.end) + "]";
    if (entry_.begin > entry_.end) return place + " ends before it begins";
    std::uint64_t needed = 0;
    if (!bytes_needed(entry_.shape, entry_.dtype, needed)) {
      return "the shape " + to_string(entry_.shape) + " of " + quoted(entry_.name) + " overflows";
    }
    if (needed != entry_.end - entry_.begin) {
      return place + " has " + std::to_string(entry_.end - entry_.begin) + " bytes, but " +
             std::string(name_of(entry_.dtype)) + " " + to_string(entry_.shape) + " needs " +
             std::to_string(needed);
    }
    return {};
  }

  Layout& layout_;
  Layout::Entry entry_;
  Place place_ = Place::start;
  ErrorCode code_ = ErrorCode::file_corrupt;
  int offsets_ = 0;
  std::string name_;  ///< the last one heard
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> fields_;  ///< of the tensor being heard
};

/// The tensors in the order of their bytes; those without bytes before the one at the same place.
std::vector<const Layout::Entry*> by_offset(const Layout& layout) {
  std::vector<const Layout::Entry*> sorted;
  sorted.reserve(layout.entries.size());
  for (const Layout::Entry& entry : layout.entries) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) {
    return std::pair(a->begin, a->end) < std::pair(b->begin, b->end);
  });
  return sorted;
}

Result<void> check_offsets(
    const Layout& layout,
    std::uint64_t data_start,
    std::uint64_t data_bytes,
    const std::string& path) {
  std::uint64_t reached = 0;
  for (const Layout::Entry* entry : by_offset(layout)) {
    if (entry->begin != reached) {
      return file_error(
          ErrorCode::file_corrupt,
          path,
          data_start + std::min(entry->begin, data_bytes),
          quoted(entry->name) + " at offsets [" + std::to_string(entry->begin) + ", " +
              std::to_string(entry->end) + "] " +
              (entry->begin > reached ? "leaves a gap after byte "
                                      : "overlaps what reaches to byte ") +
              std::to_string(reached));
    }
    reached = entry->end;
    if (reached > data_bytes) {
      return file_error(
          ErrorCode::file_truncated,
          path,
          data_start + data_bytes,
          "the file ends here, within " + quoted(entry->name) + ", whose bytes reach to " +
              std::to_string(data_start) + " + " + std::to_string(reached));
    }
  }
  if (reached != data_bytes) {
    return file_error(
        ErrorCode::file_corrupt,
        path,
        data_start + reached,
        std::to_string(data_bytes - reached) + " bytes follow the last tensor");
  }
  return {};
}

}  // namespace

Result<std::uint64_t> read_header_length(
    std::span<const std::byte, length_bytes> bytes,
    std::uint64_t file_bytes,
    const std::string& path) {
  std::uint64_t length = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) {
    length = length << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  }
  if (length > header_bytes_max) {
    return file_error(
        ErrorCode::file_corrupt,
        path,
        0,
        "a header of " + std::to_string(length) + " bytes, more than the format's " +
            std::to_string(header_bytes_max));
  }
  if (length > file_bytes - length_bytes) {
    return file_error(
        ErrorCode::file_truncated,
        path,
        0,
        "a header of " + std::to_string(length) + " bytes in a file of " +
            std::to_string(file_bytes));
  }
  return length;
}

Result<Layout> parse_layout(
    std::string_view header, std::uint64_t data_bytes, const std::string& path) {
  if (header.empty() || header.front() != '{') {
    return file_error(
        ErrorCode::file_corrupt, path, length_bytes, "the header does not begin with '{'");
  }
  Layout layout;
  HeaderReader reader(layout);
  if (auto done = read_json(header, path, length_bytes, reader); !done) {
    return Error(reader.code(), done.error().message());
  }
  auto checked = check_offsets(layout, length_bytes + header.size(), data_bytes, path);
  if (!checked) return checked.error();
  return layout;
}

Result<std::string> make_header(
    std::span<const HostTensor> tensors,
    const std::map<std::string, std::string>& metadata,
    std::vector<std::size_t>& order) {
  order.resize(tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto key = [&](std::size_t i) {
    const HostTensor& tensor = tensors[i];
    return std::pair<int, const std::string&>(
        -layout_rank[static_cast<std::size_t>(tensor.dtype())], tensor.name());
  };
  std::sort(
      order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(a) < key(b); });

  Tree::Map entries;
  if (!metadata.empty()) {
    Tree::Map pairs;
    for (const auto& [name, value] : metadata) pairs.emplace_back(name, value);
    entries.emplace_back(metadata_name, std::move(pairs));
  }
  std::unordered_set<std::string_view> names = {metadata_name};
  std::uint64_t offset = 0;
  for (const std::size_t i : order) {
    const HostTensor& tensor = tensors[i];
    if (!names.insert(tensor.name()).second) {
      return Error(
          ErrorCode::invalid_argument,
          "a tensor cannot be named " + quoted(tensor.name()) + ": the name is taken");
    }
    const std::uint64_t end = offset + tensor.bytes().size();
    Tree::List sizes;
    for (const std::int64_t size : tensor.shape()) sizes.emplace_back(size);
    Tree::Map fields;
    fields.emplace_back("dtype", format_names[static_cast<std::size_t>(tensor.dtype())]);
    fields.emplace_back("shape", std::move(sizes));
    fields.emplace_back("data_offsets", Tree::List{Tree(offset), Tree(end)});
    entries.emplace_back(tensor.name(), std::move(fields));
    offset = end;
  }

  std::string text;
  try {
    text = to_json(Tree(std::move(entries)));
  } catch (const Error& error) {
    return error;
  }
  // Spaces after the header align the data; the format allows them.
  text.append((length_bytes - text.size() % length_bytes) % length_bytes, ' ');
  if (text.size() > header_bytes_max) {
    return Error(ErrorCode::invalid_argument, "too many tensors for one safetensors file");
  }
  std::string header;
  for (std::uint64_t i = 0; i < length_bytes; ++i) {
    header += static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return header + text;
}

}  // namespace troupe::io
