#include "field_bytes.hpp"

#include <troupe/core/actor_cell.hpp>
#include <troupe/core/bytes.hpp>
#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace troupe::testing {

using namespace cluster;

namespace {

struct Shown {
  bool yes = false;
  std::int8_t small = 0;
  std::uint64_t large = 0;
  double real = 0;
  std::string text;
  std::vector<std::int32_t> list;

  template <class V>
  void fields(V& visit) {
    visit.field("yes", yes);
    visit.field("small", small);
    visit.field("large", large);
    visit.field("real", real);
    visit.field("text", text);
    visit.field("list", list);
  }
  bool operator==(const Shown&) const = default;
};

Bytes written(Shown shown) {
  FieldWriter writer;
  FieldVisitor& visit = writer;
  shown.fields(visit);
  return writer.take();
}

ErrorCode code_of(std::span<const std::byte> bytes) {
  try {
    FieldReader reader(bytes);
    FieldVisitor& visit = reader;
    Shown shown;
    shown.fields(visit);
    reader.end();
  } catch (const Error& error) {
    return error.code();
  }
  return ErrorCode::internal;
}

}  // namespace

TEST_CASE("fields are read as they were written", "[cluster]") {
  const Shown shown{true, -7, ~0ull, -0.5, "text", {1, -2, 3}};
  const Bytes bytes = written(shown);
  FieldReader reader(bytes.span());
  FieldVisitor& visit = reader;
  Shown read;
  read.fields(visit);
  reader.end();
  CHECK(read == shown);
}

TEST_CASE("bytes that are no fields are refused", "[cluster]") {
  const Bytes bytes = written({true, -7, 5, 1.5, "text", {1, 2}});
  for (std::size_t size = 0; size < bytes.size(); ++size)
    CHECK(code_of(bytes.span().first(size)) == ErrorCode::wire_corrupt);
  std::vector<std::byte> changed(bytes.span().begin(), bytes.span().end());
  changed.push_back(std::byte{0});
  CHECK(code_of(changed) == ErrorCode::wire_corrupt);
  changed.pop_back();
  SECTION("a bool of 2") {
    changed[0] = std::byte{2};
    CHECK(code_of(changed) == ErrorCode::wire_corrupt);
  }
  SECTION("a number that its field cannot hold") {
    changed[2] = std::byte{1};
    CHECK(code_of(changed) == ErrorCode::invalid_argument);
  }
  SECTION("a text and a list longer than all there is") {
    changed[1 + 3 * 8 + 7] = std::byte{0x7f};
    CHECK(code_of(changed) == ErrorCode::wire_corrupt);
    changed[1 + 3 * 8 + 7] = std::byte{0};
    changed[1 + 4 * 8 + 4 + 7] = std::byte{0x7f};
    CHECK(code_of(changed) == ErrorCode::wire_corrupt);
  }
}

TEST_CASE("what cannot leave the process is refused", "[cluster]") {
  FieldWriter writer;
  FieldVisitor& visit = writer;
  Ref<ActorCell> nobody;
  Bytes bytes;
  CHECK_THROWS_AS(visit.field("actor", nobody), Error);
  CHECK_THROWS_AS(visit.field("bytes", bytes), Error);
  CHECK_THROWS_AS(visit.local("function"), Error);
}

}  // namespace troupe::testing
