#pragma once

#include "little_endian.hpp"

#include <troupe/core/error.hpp>

#include <cereal/cereal.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace troupe::net {

/// Writes a small struct through cereal: numbers from the lowest byte up, nothing between them.
class MetaWriter : public cereal::OutputArchive<MetaWriter, cereal::AllowEmptyClassElision> {
 public:
  MetaWriter() : OutputArchive(this) {}

  template <class T>
  void put(T number) {
    bytes_.resize(bytes_.size() + sizeof(T));
    put_number(bytes_.data() + bytes_.size() - sizeof(T), number);
  }
  void put(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

/// Reads what `MetaWriter` wrote out of bytes from a stranger. It knows how many are left, and
/// nothing is reserved that is not there. Unsigned numbers, `bool` and `CappedText` alone: cereal's
/// own readers of strings, containers and pointers believe any length and any identity, so their
/// headers are banned in this module (tools/tidy). Without pointers no struct can nest deeper than
/// its type says.
///
/// Errors  throws `wire_corrupt`, naming the byte.
class MetaReader : public cereal::InputArchive<MetaReader, cereal::AllowEmptyClassElision> {
 public:
  explicit MetaReader(std::span<const std::byte> bytes) : InputArchive(this), bytes_(bytes) {}

  template <class T>
  [[nodiscard]] T get() {
    return get_number<T>(take(sizeof(T)).data());
  }
  [[nodiscard]] std::span<const std::byte> take(std::size_t count) {
    if (count > left())
      refuse(std::to_string(count) + " bytes wanted, " + std::to_string(left()) + " left");
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  [[nodiscard]] std::size_t left() const noexcept { return bytes_.size() - at_; }
  /// Must be called behind the last field: what is left over is an error.
  void end() const {
    if (left() > 0) refuse(std::to_string(left()) + " bytes too many");
  }
  [[noreturn]] void refuse(const std::string& reason) const {
    throw Error(ErrorCode::wire_corrupt, "meta: at byte " + std::to_string(at_) + ": " + reason);
  }

 private:
  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
};

template <std::unsigned_integral T>
void CEREAL_SAVE_FUNCTION_NAME(MetaWriter& to, const T& number) {
  if constexpr (std::is_same_v<T, bool>) {
    to.put(std::uint8_t{number});
  } else {
    to.put(number);
  }
}
template <std::unsigned_integral T>
void CEREAL_LOAD_FUNCTION_NAME(MetaReader& from, T& number) {
  if constexpr (std::is_same_v<T, bool>) {
    const auto byte = from.get<std::uint8_t>();
    if (byte > 1) from.refuse(std::to_string(byte) + " where 0 or 1 must be");
    number = byte == 1;
  } else {
    number = from.get<T>();
  }
}

/// A text of so many bytes at most; a longer one is cut off when written, refused when read.
template <std::uint16_t bytes_max>
struct CappedText {
  std::string text;

  void save(MetaWriter& to) const {
    const std::string_view kept = std::string_view(text).substr(0, bytes_max);
    to.put(static_cast<std::uint16_t>(kept.size()));
    to.put(kept);
  }
  void load(MetaReader& from) {
    const auto length = from.get<std::uint16_t>();
    if (length > bytes_max)
      from.refuse(
          "a text of " + std::to_string(length) + " bytes, " + std::to_string(bytes_max) +
          " at most");
    const auto bytes = from.take(length);
    text.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
};

}  // namespace troupe::net
