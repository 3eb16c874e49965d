#pragma once

#include <troupe/core/result.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace troupe::io {

/// A small tree of named things: what stands beside the tensors of a checkpoint, a run's config, a
/// line of metrics. Written as JSON.
///
/// Numbers   integers of 64 bits, signed or not, and doubles keep every bit through JSON. What JSON
///           cannot write is written as the strings "NaN", "Infinity" and "-Infinity", which
///           `as_double()` reads back.
/// Order     a map keeps the order in which its names were added.
/// Errors    reading a kind or a name that is not there throws `file_mismatch`, for the tree
/// usually
///           came from a file of another program or version.
class Tree {
 public:
  using List = std::vector<Tree>;
  using Map = std::vector<std::pair<std::string, Tree>>;

  Tree() = default;                    ///< null
  Tree(bool value) : state_(value) {}  // NOLINT: all of these are meant implicit
  template <class T>
  requires(std::integral<T> && !std::same_as<T, bool>) Tree(T value) {  // NOLINT
    if (std::in_range<std::int64_t>(value)) {
      state_ = static_cast<std::int64_t>(value);
    } else {
      state_ = static_cast<std::uint64_t>(value);
    }
  }
  Tree(double value) : state_(value) {}                         // NOLINT
  Tree(const char* value) : state_(std::string(value)) {}       // NOLINT
  Tree(std::string_view value) : state_(std::string(value)) {}  // NOLINT
  Tree(std::string value) : state_(std::move(value)) {}         // NOLINT
  Tree(List values) : state_(std::move(values)) {}              // NOLINT
  /// The names must differ from each other.
  Tree(Map entries) : state_(std::move(entries)) {}  // NOLINT

  [[nodiscard]] bool is_null() const noexcept { return state_.index() == 0; }
  /// "null", "bool", "integer", "double", "string", "list" or "map".
  [[nodiscard]] std::string_view kind() const noexcept;

  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] std::int64_t as_int() const;    ///< an integer in range
  [[nodiscard]] std::uint64_t as_uint() const;  ///< an integer in range
  [[nodiscard]] double as_double() const;  ///< a double, an integer, or one of the three strings
  [[nodiscard]] const std::string& as_string() const;
  [[nodiscard]] const List& as_list() const;
  [[nodiscard]] const Map& as_map() const;

  /// The entry of that name, added as null if it is not there; a null tree becomes a map.
  Tree& operator[](std::string_view name);
  /// The entry of that name, or null pointer; a tree that is no map has none.
  [[nodiscard]] const Tree* find(std::string_view name) const noexcept;
  /// The entry of that name; throws `file_mismatch` naming it.
  [[nodiscard]] const Tree& at(std::string_view name) const;
  /// Adds to a list; a null tree becomes one.
  void push_back(Tree value);

  friend bool operator==(const Tree& a, const Tree& b) { return a.state_ == b.state_; }

 private:
  friend struct TreeWriter;

  /// An integer is held as uint64 only above int64's range, so that equal numbers compare equal.
  std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, List, Map>
      state_;
};

/// The tree as JSON: on one line, or with each level indented by `indent` spaces when that is not
/// negative. Throws `invalid_argument` for a string that is not UTF-8.
[[nodiscard]] std::string to_json(const Tree& tree, int indent = -1);

/// Reads JSON. `path` names the text in errors.
///
/// Bound    64 levels deep; memory in proportion to the text.
/// Errors   `file_corrupt` with path, byte offset and reason: syntax, depth, a name given twice.
[[nodiscard]] Result<Tree> parse_json(std::string_view text, const std::string& path);

}  // namespace troupe::io
