#include "field_bytes.hpp"

#include <troupe/core/bytes.hpp>
#include <troupe/core/error.hpp>

#include <algorithm>
#include <bit>
#include <memory>
#include <utility>

namespace troupe::cluster {

namespace {

[[noreturn]] void stays_here(std::string_view name) {
  throw Error(ErrorCode::unsupported, "'" + std::string(name) + "' cannot leave the process");
}

}  // namespace

void FieldWriter::put(std::uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8)
    bytes_.push_back(static_cast<std::byte>(number >> shift));
}

void FieldWriter::field(std::string_view, bool& value) {
  bytes_.push_back(static_cast<std::byte>(value));
}
void FieldWriter::field(std::string_view, std::int64_t& value) {
  put(static_cast<std::uint64_t>(value));
}
void FieldWriter::field(std::string_view, std::uint64_t& value) { put(value); }
void FieldWriter::field(std::string_view, double& value) {
  put(std::bit_cast<std::uint64_t>(value));
}
void FieldWriter::field(std::string_view, std::string& value) {
  put(value.size());
  const auto bytes = std::as_bytes(std::span(value));
  bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
}
void FieldWriter::field(std::string_view name, Ref<ActorCell>&) { stays_here(name); }
void FieldWriter::field(std::string_view name, Bytes&) { stays_here(name); }
void FieldWriter::local(std::string_view name) { stays_here(name); }
void FieldWriter::list_length(std::string_view, std::uint64_t& length) { put(length); }

Bytes FieldWriter::take() {
  const auto kept = std::make_shared<std::vector<std::byte>>(std::move(bytes_));
  bytes_.clear();
  return Bytes(*kept, kept);
}

std::span<const std::byte> FieldReader::take(std::uint64_t count) {
  const std::size_t left = bytes_.size() - at_;
  if (count > left)
    refuse(std::to_string(count) + " bytes wanted, " + std::to_string(left) + " left");
  at_ += static_cast<std::size_t>(count);
  return bytes_.subspan(at_ - static_cast<std::size_t>(count), static_cast<std::size_t>(count));
}

std::uint64_t FieldReader::number() {
  const auto bytes = take(8);
  std::uint64_t number = 0;
  for (std::size_t i = 8; i-- > 0;) number = number << 8 | static_cast<std::uint64_t>(bytes[i]);
  return number;
}

void FieldReader::refuse(const std::string& reason) const {
  throw Error(ErrorCode::wire_corrupt, "at byte " + std::to_string(at_) + ": " + reason);
}

void FieldReader::field(std::string_view, bool& value) {
  const auto byte = static_cast<std::uint8_t>(take(1)[0]);
  if (byte > 1) refuse(std::to_string(byte) + " where 0 or 1 must be");
  value = byte == 1;
}
void FieldReader::field(std::string_view, std::int64_t& value) {
  value = static_cast<std::int64_t>(number());
}
void FieldReader::field(std::string_view, std::uint64_t& value) { value = number(); }
void FieldReader::field(std::string_view, double& value) {
  value = std::bit_cast<double>(number());
}
void FieldReader::field(std::string_view, std::string& value) {
  const auto bytes = take(number());
  value.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
void FieldReader::field(std::string_view name, Ref<ActorCell>&) { stays_here(name); }
void FieldReader::field(std::string_view name, Bytes&) { stays_here(name); }
void FieldReader::list_length(std::string_view, std::uint64_t& length) {
  length = number();
  // Whatever stands in it takes a byte at least.
  if (const std::size_t left = bytes_.size() - at_; length > left)
    refuse("a list of " + std::to_string(length) + ", " + std::to_string(left) + " bytes left");
}

void FieldReader::end() const {
  if (at_ < bytes_.size()) refuse(std::to_string(bytes_.size() - at_) + " bytes too many");
}

}  // namespace troupe::cluster
