#include "wire.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

#include <algorithm>
#include <cstring>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace troupe::testing {
namespace {

using net::WireAddress;

/// Knows one actor.
class OneActor final : public net::AddressBook {
 public:
  explicit OneActor(Ref<ActorCell> actor = {}) : actor_(std::move(actor)) {}
  WireAddress write(const Ref<ActorCell>& actor) override {
    if (actor != actor_) throw Error(ErrorCode::invalid_argument, "a stranger");
    return {WireAddress::Owner::sender, {7, 8}};
  }
  Ref<ActorCell> read(const WireAddress& address) override {
    if (address.owner != WireAddress::Owner::sender || address.capability != net::Capability{7, 8})
      throw Error(ErrorCode::wire_corrupt, "nobody");
    return actor_;
  }

 private:
  Ref<ActorCell> actor_;
};

enum class Color : std::uint8_t { red, green };

struct Inner {
  std::uint32_t number = 0;
  template <class V>
  void fields(V& visit) {
    visit.field("number", number);
  }
  bool operator==(const Inner&) const = default;
};

struct All {
  bool flag = false;
  std::int8_t small = 0;
  std::uint16_t medium = 0;
  std::int64_t wide = 0;
  double real = 0;
  float narrow = 0;
  Color color = Color::red;
  std::string text;
  std::vector<Inner> list;
  Address<> actor;
  Address<> none;
  Bytes empty;
  Bytes payload;
  Bytes beside;

  template <class V>
  void fields(V& visit) {
    visit.field("flag", flag);
    visit.field("small", small);
    visit.field("medium", medium);
    visit.field("wide", wide);
    visit.field("real", real);
    visit.field("narrow", narrow);
    visit.field("color", color);
    visit.field("text", text);
    visit.field("list", list);
    visit.field("actor", actor);
    visit.field("none", none);
    visit.field("empty", empty);
    visit.field("payload", payload);
    visit.field("beside", beside);
  }
};

struct Local {
  template <class V>
  void fields(V& visit) {
    visit.local("callback");
  }
};

class Nobody final : public Actor<> {};

Bytes bytes_of(const std::string& text) { return Bytes::copy_of(std::as_bytes(std::span(text))); }

template <class M>
net::Encoded encode(M& message, net::AddressBook& book) {
  return net::encode_message(
      MessageId{70'000}, [&](FieldVisitor& visit) { message.fields(visit); }, book);
}
template <class M>
void decode(
    std::span<const std::byte> meta, const Bytes& payload, net::AddressBook& book, M& message) {
  net::decode_message(meta, payload, book, [&](FieldVisitor& visit) { message.fields(visit); });
}

struct Fixture {
  System system{{.threads = 1}};
  Address<> actor{system.spawn<Nobody>()};
  OneActor book{actor.cell()};
  All message{
      true,
      -100,
      65535,
      std::numeric_limits<std::int64_t>::min(),
      -0.25,
      1.5F,
      Color::green,
      "text \0 with zero",
      {{1}, {4'000'000'000}},
      actor,
      {},
      {},
      bytes_of("payload"),
      bytes_of("beside")};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "every kind of field comes back as it was", "[net]") {
  const net::Encoded encoded = encode(message, book);
  CHECK(net::message_id(encoded.meta.span()) == MessageId{70'000});
  // The first that holds anything, where it lies.
  CHECK(encoded.payload.span().data() == message.payload.span().data());
  All back;
  decode(encoded.meta.span(), encoded.payload, book, back);
  CHECK(back.flag);
  CHECK(back.small == -100);
  CHECK(back.medium == 65535);
  CHECK(back.wide == message.wide);
  CHECK(back.real == -0.25);
  CHECK(back.narrow == 1.5F);
  CHECK(back.color == Color::green);
  CHECK(back.text == message.text);
  CHECK(back.list == message.list);
  CHECK(back.actor == actor);
  CHECK_FALSE(back.none);
  CHECK(back.empty.size() == 0);
  CHECK(back.payload.span().data() == message.payload.span().data());
  REQUIRE(back.beside.size() == 6);
  CHECK(std::memcmp(back.beside.span().data(), "beside", 6) == 0);
}

TEST_CASE_METHOD(Fixture, "a message cut off anywhere, or too long, is refused", "[net]") {
  const net::Encoded encoded = encode(message, book);
  const auto meta = encoded.meta.span();
  for (std::size_t size = 0; size < meta.size(); ++size) {
    All back;
    CHECK_THROWS_AS(decode(meta.first(size), encoded.payload, book, back), Error);
  }
  std::vector<std::byte> longer(meta.begin(), meta.end());
  longer.push_back(std::byte{0});
  All back;
  CHECK_THROWS_AS(decode(longer, encoded.payload, book, back), Error);
  // A payload that no field takes.
  Inner inner{3};
  const net::Encoded plain = encode(inner, book);
  CHECK_THROWS_AS(decode(plain.meta.span(), bytes_of("x"), book, inner), Error);
}

TEST_CASE_METHOD(
    Fixture, "any byte may be wrong, and nothing else happens than an error", "[net]") {
  const net::Encoded encoded = encode(message, book);
  std::vector<std::byte> meta(encoded.meta.span().begin(), encoded.meta.span().end());
  std::size_t refused = 0;
  for (std::byte& byte : meta)
    for (const auto flip : {0x01, 0x80, 0xff}) {
      byte ^= static_cast<std::byte>(flip);
      All back;
      try {
        decode(meta, encoded.payload, book, back);
      } catch (const Error& error) {
        ++refused;
        CHECK(
            (error.code() == ErrorCode::wire_corrupt ||
             error.code() == ErrorCode::invalid_argument));
      }
      byte ^= static_cast<std::byte>(flip);
    }
  CHECK(refused > 100);
}

TEST_CASE_METHOD(Fixture, "what cannot travel says so", "[net]") {
  Local local;
  CHECK_THROWS_WITH(
      encode(local, book),
      Catch::Matchers::ContainsSubstring("'callback' cannot leave the process"));
  message.text.assign(net::meta_bytes_max, 'x');
  CHECK_THROWS_AS(encode(message, book), Error);
}

TEST_CASE_METHOD(Fixture, "fields travel without a message, all in one", "[net]") {
  const auto show = [this](FieldVisitor& visit) {
    visit.field("small", message.small);
    visit.field("text", message.text);
    visit.field("list", message.list);
    visit.field("payload", message.payload);
    visit.field("beside", message.beside);
  };
  const Bytes bytes = net::encode_fields(show);
  const All sent = std::exchange(message, All());
  net::decode_fields(bytes.span(), show);
  CHECK(message.small == sent.small);
  CHECK(message.text == sent.text);
  CHECK(message.list == sent.list);
  for (const auto& [came, went] :
       {std::pair(message.payload, sent.payload), std::pair(message.beside, sent.beside)})
    CHECK(std::ranges::equal(came.span(), went.span()));
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK_THROWS_AS(net::decode_fields(bytes.span().first(size), show), Error);
  std::vector<std::byte> changed(bytes.span().begin(), bytes.span().end());
  changed.push_back(std::byte{0});
  CHECK_THROWS_AS(net::decode_fields(changed, show), Error);
  changed.pop_back();
  // That it is beside the others, as a message's may be.
  const std::size_t tail = 2 * (1 + 4) + sent.payload.size() + sent.beside.size();
  REQUIRE(changed[changed.size() - tail] == std::byte{0});
  changed[changed.size() - tail] = std::byte{1};
  CHECK_THROWS_AS(net::decode_fields(changed, show), Error);
}

TEST_CASE_METHOD(Fixture, "an address travels in a message alone", "[net]") {
  const auto show = [this](FieldVisitor& visit) { visit.field("actor", message.actor); };
  CHECK_THROWS_WITH(
      net::encode_fields(show), Catch::Matchers::ContainsSubstring("cannot leave the process"));
  const std::vector<std::byte> bytes(17);
  CHECK_THROWS_WITH(
      net::decode_fields(bytes, show),
      Catch::Matchers::ContainsSubstring("cannot leave the process"));
}

}  // namespace troupe::testing
