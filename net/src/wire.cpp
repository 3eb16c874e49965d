#include "wire.hpp"

#include "archive.hpp"

#include <troupe/core/actor_cell.hpp>

#include <bit>
#include <string>
#include <utility>

namespace troupe::net {

namespace {

[[noreturn]] void stays_here(std::string_view name) {
  throw Error(ErrorCode::unsupported, "'" + std::string(name) + "' cannot leave the process")
      .hint("send it to actors of this process only");
}

/// Of a message, which has a book for addresses and a payload beside its meta bytes; null: of
/// fields alone, which have neither.
class Writer final : public FieldVisitor {
 public:
  explicit Writer(AddressBook* book) : book_(book) {}

  using FieldVisitor::field;
  void field(std::string_view, bool& value) override { to_.put(std::uint8_t{value}); }
  void field(std::string_view, std::int64_t& value) override {
    to_.put(static_cast<std::uint64_t>(value));
  }
  void field(std::string_view, std::uint64_t& value) override { to_.put(value); }
  void field(std::string_view, double& value) override {
    to_.put(std::bit_cast<std::uint64_t>(value));
  }
  void field(std::string_view, std::string& value) override {
    to_.put(static_cast<std::uint32_t>(value.size()));
    to_.put(std::string_view(value));
  }
  void field(std::string_view name, Ref<ActorCell>& actor) override {
    if (!book_) return local(name);
    const WireAddress address = actor ? book_->write(actor) : WireAddress{};
    to_.put(static_cast<std::uint8_t>(address.owner));
    if (address.owner == WireAddress::Owner::nobody) return;
    to_.put(address.capability.high);
    to_.put(address.capability.low);
  }
  void field(std::string_view, Bytes& bytes) override {
    const bool beside = book_ && payload_.size() == 0 && bytes.size() > 0;
    to_.put(std::uint8_t{beside});
    if (beside) {
      payload_ = bytes;
      return;
    }
    to_.put(static_cast<std::uint32_t>(bytes.size()));
    to_.put(std::string_view(reinterpret_cast<const char*>(bytes.span().data()), bytes.size()));
  }
  void local(std::string_view name) override { stays_here(name); }
  void list_length(std::string_view, std::uint64_t& length) override { to_.put(length); }

  [[nodiscard]] MetaWriter& to() noexcept { return to_; }
  [[nodiscard]] Bytes& payload() noexcept { return payload_; }

 private:
  AddressBook* book_;
  MetaWriter to_;
  Bytes payload_;
};

class Reader final : public FieldVisitor {
 public:
  Reader(std::span<const std::byte> meta, Bytes payload, AddressBook* book)
      : from_(meta), payload_(std::move(payload)), taken_(!book), book_(book) {}

  using FieldVisitor::field;
  void field(std::string_view, bool& value) override { value = flag(); }
  void field(std::string_view, std::int64_t& value) override {
    value = static_cast<std::int64_t>(from_.get<std::uint64_t>());
  }
  void field(std::string_view, std::uint64_t& value) override {
    value = from_.get<std::uint64_t>();
  }
  void field(std::string_view, double& value) override {
    value = std::bit_cast<double>(from_.get<std::uint64_t>());
  }
  void field(std::string_view, std::string& value) override {
    const auto bytes = from_.take(from_.get<std::uint32_t>());
    value.assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void field(std::string_view name, Ref<ActorCell>& actor) override {
    if (!book_) stays_here(name);
    using Owner = WireAddress::Owner;
    WireAddress address;
    const auto owner = from_.get<std::uint8_t>();
    if (owner > static_cast<std::uint8_t>(Owner::receiver))
      from_.refuse("an actor of " + std::to_string(owner));
    address.owner = static_cast<Owner>(owner);
    actor.reset();
    if (address.owner == Owner::nobody) return;
    address.capability.high = from_.get<std::uint64_t>();
    address.capability.low = from_.get<std::uint64_t>();
    actor = book_->read(address);
  }
  void field(std::string_view, Bytes& bytes) override {
    if (flag()) {
      if (taken_) from_.refuse("the payload is another field's");
      taken_ = true;
      bytes = payload_;
      return;
    }
    bytes = Bytes::copy_of(from_.take(from_.get<std::uint32_t>()));
  }
  void list_length(std::string_view, std::uint64_t& length) override {
    length = from_.get<std::uint64_t>();
    // Whatever stands in it takes a byte at least.
    if (length > from_.left())
      from_.refuse(
          "a list of " + std::to_string(length) + ", " + std::to_string(from_.left()) +
          " bytes left");
  }
  void end() {
    if (!taken_ && payload_.size() > 0) from_.refuse("a payload that no field takes");
    from_.end();
  }

 private:
  bool flag() {
    const auto byte = from_.get<std::uint8_t>();
    if (byte > 1) from_.refuse(std::to_string(byte) + " where 0 or 1 must be");
    return byte == 1;
  }

  MetaReader from_;
  Bytes payload_;
  bool taken_;  // a field has it, or there can be none
  AddressBook* book_;
};

}  // namespace

Bytes encode_fields(const Shown& fields) {
  Writer writer(nullptr);
  fields(writer);
  return Bytes::copy_of(writer.to().bytes());
}

void decode_fields(std::span<const std::byte> bytes, const Shown& fields) {
  Reader reader(bytes, {}, nullptr);
  fields(reader);
  reader.end();
}

Encoded encode_message(MessageId id, const Shown& message, AddressBook& book) {
  Writer writer(&book);
  writer.to().put(static_cast<std::uint32_t>(id));
  message(writer);
  const auto meta = writer.to().bytes();
  if (meta.size() > meta_bytes_max)
    throw Error(
        ErrorCode::unsupported,
        "a message of " + std::to_string(meta.size()) + " bytes without its payload; " +
            std::to_string(meta_bytes_max) + " at most")
        .hint("put what is large into one Bytes field, or into several messages");
  if (writer.payload().size() > payload_bytes_max)
    throw Error(
        ErrorCode::unsupported,
        "a payload of " + std::to_string(writer.payload().size()) + " bytes; " +
            std::to_string(payload_bytes_max) + " at most")
        .hint("send it in pieces");
  return {Bytes::copy_of(meta), std::move(writer.payload())};
}

MessageId message_id(std::span<const std::byte> meta) {
  return MessageId{MetaReader(meta).get<std::uint32_t>()};
}

void decode_message(
    std::span<const std::byte> meta, const Bytes& payload, AddressBook& book, const Shown& fields) {
  (void)message_id(meta);
  Reader reader(meta.subspan(sizeof(std::uint32_t)), payload, &book);
  fields(reader);
  reader.end();
}

}  // namespace troupe::net
