#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace troupe {

/// Sees the fields of a message, an error or an op's attributes one after another, by name.
///
/// A struct shows itself with `template <class V> void fields(V& visit)`; a visitor reads or writes
/// what it is shown. Printing, hashing, cache keys and, above core, the wire are all visitors, so
/// no struct knows any of them.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  virtual void field(std::string_view name, bool& value) = 0;
  virtual void field(std::string_view name, std::int64_t& value) = 0;
  virtual void field(std::string_view name, std::uint64_t& value) = 0;
  virtual void field(std::string_view name, double& value) = 0;
  virtual void field(std::string_view name, std::string& value) = 0;

  /// A list shows its length, then its elements; a reading visitor sets the length first.
  virtual void list_length(std::string_view name, std::uint64_t& length) = 0;

  template <class T>
  requires(
      std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, std::int64_t> &&
      !std::is_same_v<T, std::uint64_t>) void field(std::string_view name, T& value) {
    if constexpr (std::is_signed_v<T>) {
      std::int64_t wide = value;
      field(name, wide);
      value = static_cast<T>(wide);
    } else {
      std::uint64_t wide = value;
      field(name, wide);
      value = static_cast<T>(wide);
    }
  }

  template <class T>
  requires std::is_enum_v<T>
  void field(std::string_view name, T& value) {
    auto number = static_cast<std::underlying_type_t<T>>(value);
    field(name, number);
    value = static_cast<T>(number);
  }

  void field(std::string_view name, float& value) {
    double wide = value;
    field(name, wide);
    value = static_cast<float>(wide);
  }

  template <class T>
  void field(std::string_view name, std::vector<T>& values) {
    std::uint64_t length = values.size();
    list_length(name, length);
    values.resize(length);
    for (T& value : values) field(name, value);
  }

  /// A struct inside a struct.
  template <class T>
  requires requires(T& value, FieldVisitor& visit) { value.fields(visit); }
  void field(std::string_view, T& value) { value.fields(*this); }
};

}  // namespace troupe
