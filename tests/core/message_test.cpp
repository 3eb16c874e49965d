#include "messages.hpp"

#include <troupe/core/message.hpp>
#include <troupe/core/sim.hpp>
#include <troupe/core/stream.hpp>
#include <troupe/core/supervisor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <set>
#include <type_traits>

namespace troupe::testing {
namespace {

template <class A, class M>
concept Sends = requires(const A& address, M message) {
  address.send(std::move(message));
};

// A wrong message, and an address made wider than it is, do not compile.
static_assert(Sends<Address<Number, Token>, Token>);
static_assert(Sends<const Address<Number, Token>&, const Token&>);
static_assert(!Sends<Address<Number>, Token>);
static_assert(!Sends<Address<>, Number>);
static_assert(std::is_convertible_v<Address<Number, Token>, Address<Token>>);
static_assert(std::is_convertible_v<Address<Number, Token>, Address<Token, Number>>);
static_assert(std::is_convertible_v<Address<Number>, Address<>>);
static_assert(!std::is_convertible_v<Address<Number>, Address<Number, Token>>);
static_assert(!std::is_constructible_v<Address<Number, Token>, Address<Number>>);
static_assert(!std::is_assignable_v<Address<Number, Token>&, Address<Number>>);
static_assert(!std::is_assignable_v<Address<Number>&, Address<Token>>);
static_assert(!MessagePayload<int>);
static_assert(MessagePayload<Number>);

// The pool gives blocks of 16-byte alignment, and a payload follows its head in one of them.
static_assert(alignof(Envelope<Number>) <= 16 && alignof(Envelope<Held>) <= 16);
static_assert(alignof(std::max_align_t) == 16);

using TestMessages = MessageList<70'000, 70'099, Number, Token, Fault, Question, Held>;
static_assert(TestMessages::size == 5);

/// Writes down what it is shown.
class Names final : public FieldVisitor {
 public:
  using FieldVisitor::field;
  void field(std::string_view name, bool&) override { names.emplace(name); }
  void field(std::string_view name, std::int64_t&) override { names.emplace(name); }
  void field(std::string_view name, std::uint64_t&) override { names.emplace(name); }
  void field(std::string_view name, double&) override { names.emplace(name); }
  void field(std::string_view name, std::string&) override { names.emplace(name); }
  void field(std::string_view name, Ref<ActorCell>& address) override {
    names.emplace(name);
    if (address) ++addresses;
  }
  void field(std::string_view name, Bytes& value) override {
    names.emplace(name);
    bytes += value.size();
  }
  void local(std::string_view name) override { names.emplace("local " + std::string(name)); }
  void list_length(std::string_view name, std::uint64_t&) override { names.emplace(name); }

  std::set<std::string, std::less<>> names;
  int addresses = 0;
  std::size_t bytes = 0;
};

/// Carries bytes whose layout only its receiver knows.
struct Parcel {
  static constexpr MessageId id{70'020};
  static constexpr std::string_view name = "parcel";

  Bytes content;

  template <class V>
  void fields(V& visit) {
    visit.field("content", content);
  }
};

}  // namespace

TEST_CASE("a message's type is found by its number", "[core]") {
  CHECK(TestMessages::find(MessageId{70'001}) == &message_type<Token>);
  CHECK(TestMessages::find(MessageId{70'050}) == nullptr);
  CHECK(core_message(Down::id) == &message_type<Down>);
  CHECK(core_message(Shutdown::id) == &message_type<Shutdown>);
  CHECK(core_message(MessageId{4})->name == "monitor");
  CHECK(core_message(MessageId{7})->name == "stop");
  // An actor's last reference is not for others to send.
  CHECK(core_message(MessageId{2}) == nullptr);
  CHECK(core_message(MessageId{99}) == nullptr);
}

TEST_CASE("messages show addresses, bytes, and what cannot travel", "[core]") {
  sim::World world{1};
  auto adder = world.system().spawn<Adder>();
  Names names;
  Question question{adder};
  question.fields(names);
  Down down{adder, true, Error(ErrorCode::stopped, "enough")};
  down.fields(names);
  CHECK(names.addresses == 2);
  CHECK(names.names.contains("actor"));
  CHECK(names.names.contains("reason") == false);  // a struct shows its own fields
  CHECK(names.names.contains("message"));
  const std::byte three[3] = {};
  Parcel parcel{Bytes::copy_of(three)};
  parcel.fields(names);
  CHECK(names.bytes == 3);
  StartChild start{{.name = "child", .start = nullptr}};
  start.fields(names);
  CHECK(names.names.contains("local start"));
}

TEST_CASE("a message says whether something else bounds it", "[core]") {
  STATIC_CHECK(message_type<StreamItem<Token>>.bounded);
  STATIC_CHECK(message_type<StreamCredit>.bounded);
  STATIC_CHECK(message_type<Down>.bounded);
  CHECK(core_message(MessageId{7})->bounded);  // the runtime's own
  STATIC_CHECK_FALSE(message_type<Token>.bounded);
}

TEST_CASE("copied bytes live as long as a copy of them", "[core]") {
  Bytes outer;
  {
    std::vector<std::byte> source(100, std::byte{7});
    const Bytes inner = Bytes::copy_of(source);
    outer = inner;
    source.assign(100, std::byte{0});
  }
  REQUIRE(outer.size() == 100);
  for (const std::byte b : outer.span()) CHECK(b == std::byte{7});
}

}  // namespace troupe::testing
