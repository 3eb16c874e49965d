#pragma once

#include <troupe/core/bytes.hpp>
#include <troupe/core/ref.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace troupe {

class ActorCell;
template <class... Ms>
class Address;

/// Sees the fields of a message, an error or an op's attributes one after another, by name.
///
/// A struct shows itself with `template <class V> void fields(V& visit)`; a visitor reads or writes
/// what it is shown. Printing, hashing, cache keys and, above core, the wire are all visitors, so
/// no struct knows any of them. A message shows all that must travel; what cannot, as `local`.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;

  virtual void field(std::string_view name, bool& value) = 0;
  virtual void field(std::string_view name, std::int64_t& value) = 0;
  virtual void field(std::string_view name, std::uint64_t& value) = 0;
  virtual void field(std::string_view name, double& value) = 0;
  virtual void field(std::string_view name, std::string& value) = 0;

  /// An actor's address, or null. On the wire a number stands for it; the reader makes an address
  /// that leads back to the same actor.
  virtual void field(std::string_view name, Ref<ActorCell>& address) = 0;
  virtual void field(std::string_view name, Bytes& bytes) = 0;
  /// Something that cannot leave the process, such as a function. A visitor for the wire refuses
  /// the message.
  virtual void local(std::string_view name) { (void)name; }

  /// A list shows its length, then its elements; a reading visitor sets the length first.
  virtual void list_length(std::string_view name, std::uint64_t& length) = 0;

  /// A visitor that reads may come with a number that the field cannot hold: `invalid_argument`.
  template <class T>
  requires(
      std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, std::int64_t> &&
      !std::is_same_v<T, std::uint64_t>) void field(std::string_view name, T& value) {
    std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t> wide = value;
    field(name, wide);
    value = static_cast<T>(wide);
    if (value != wide) refuse_number(name);
  }

  template <class T>
  requires std::is_enum_v<T>
  void field(std::string_view name, T& value) {
    auto number = static_cast<std::underlying_type_t<T>>(value);
    field(name, number);
    value = static_cast<T>(number);
  }

  template <class... Ms>
  void field(std::string_view name, Address<Ms...>& address) {
    Ref<ActorCell> cell = address.cell();
    field(name, cell);
    address = Address<Ms...>(std::move(cell));
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

 private:
  [[noreturn]] static void refuse_number(std::string_view name);
};

}  // namespace troupe
