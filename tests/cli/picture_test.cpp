#include "picture.hpp"

#include <catch2/catch_test_macros.hpp>

#include <vector>

namespace troupe::cli {
namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> list;
  for (const int value : values) list.push_back(static_cast<std::byte>(value));
  return list;
}

TEST_CASE("without colour, letters go from dark to light", "[cli]") {
  CHECK(picture(bytes({0, 255, 0, 255}), 1, 2, 2, false) == " @\n");
  CHECK(picture(bytes({0, 0, 255, 255}), 1, 2, 2, false) == "==\n");
}

TEST_CASE("a row without partner is paired with black", "[cli]") {
  CHECK(picture(bytes({255, 0, 255, 0, 255, 0}), 1, 3, 2, false) == "@ \n= \n");
}

TEST_CASE("in colour, a half block holds two pixels", "[cli]") {
  CHECK(
      picture(bytes({10, 200}), 1, 2, 1, true) ==
      "\x1b[38;2;10;10;10m\x1b[48;2;200;200;200m▀\x1b[0m\n");
  CHECK(
      picture(bytes({1, 2, 3, 4, 5, 6}), 3, 2, 1, true) ==
      "\x1b[38;2;1;3;5m\x1b[48;2;2;4;6m▀\x1b[0m\n");
}

}  // namespace
}  // namespace troupe::cli
