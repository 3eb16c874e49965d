#include <troupe/io/tree.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

using troupe::ErrorCode;
using troupe::io::parse_json;

// Each text is refused at the place where it goes wrong; a tree stands for what hears the events.
TEST_CASE("what is not JSON is refused with path, offset and reason", "[io]") {
  struct Case {
    std::string text;
    std::string message;
  };
  const Case cases[] = {
      {"", "f.json: at byte 0: "},
      {"{", "f.json: at byte 1: "},
      {"[1, 2", "f.json: at byte 5: "},
      {"[1] x", "f.json: at byte "},
      {"{\"a\":1,\"a\":2}", "f.json: at byte 10: the name 'a' is given twice"},
      {"[1e999]", "f.json: at byte 7: number overflow parsing '1e999'"},
      {"[NaN]", "f.json: at byte 2: "},
      {"[nan]", "f.json: at byte "},
      {"\"\xff\"", "f.json: at byte 2: "},
      {"\"\\ud800\"", "f.json: at byte "},
      {std::string("\"a\0b\"", 5), "f.json: at byte "},
      {std::string(65, '['), "f.json: at byte 65: nested more than 64 levels deep"},
      {std::string(1'000'000, '['), "f.json: at byte 65: nested more than 64 levels deep"},
  };
  for (const Case& wrong : cases) {
    CAPTURE(wrong.text.substr(0, 40));
    const auto read = parse_json(wrong.text, "f.json");
    REQUIRE_FALSE(read.ok());
    CHECK(read.error().code() == ErrorCode::file_corrupt);
    CHECK(read.error().message().starts_with(wrong.message));
    CHECK(read.error().message().size() < 300);
  }
}

TEST_CASE("64 levels are read", "[io]") {
  CHECK(parse_json(std::string(64, '[') + std::string(64, ']'), "f.json").ok());
}

TEST_CASE("a long token makes no long error", "[io]") {
  const auto read = parse_json("[\"" + std::string(100'000, 'x'), "f.json");
  REQUIRE_FALSE(read.ok());
  CHECK(read.error().message().size() < 300);
}
