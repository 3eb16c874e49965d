#include "instruction_sets.hpp"

#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace troupe::cpu::test {
namespace {

bool yes() { return true; }
bool no() { return false; }

/// Names the set that is chosen, and counts the lines of the log.
std::string chosen(
    const std::vector<InstructionSet>& sets, std::string_view wanted, bool tiles, int& lines) {
  lines = 0;
  return std::string(choose_set(sets, wanted, tiles, [&](LogLevel level, std::string_view line) {
                       CHECK(level == LogLevel::warning);
                       CHECK(line.find("amx") != std::string_view::npos);
                       ++lines;
                     }).name);
}

}  // namespace

// Goal: tiles are used only where processor, operating system and host agree, and one refusal makes
// one line of the log.
TEST_CASE("the newest permitted instruction set is taken", "[cpu]") {
  const auto sets = [](bool present, bool (*permitted)()) {
    return std::vector<InstructionSet>{
        {"sse2", true, nullptr}, {"avx512", true, nullptr}, {"amx", present, nullptr, permitted}};
  };
  int lines = 0;
  CHECK(chosen(sets(true, &yes), "", true, lines) == "amx");
  CHECK(lines == 0);
  CHECK(chosen(sets(false, &yes), "", true, lines) == "avx512");
  CHECK(lines == 0);
  CHECK(chosen(sets(true, &no), "", true, lines) == "avx512");
  CHECK(lines == 1);
  CHECK(chosen(sets(true, &yes), "", false, lines) == "avx512");
  CHECK(lines == 0);
  CHECK(chosen(sets(true, &no), "sse2", true, lines) == "sse2");
  CHECK(lines == 0);
  CHECK(chosen(sets(true, &yes), "amx", false, lines) == "amx");  // named, so wanted
  CHECK_THROWS_AS(chosen(sets(true, &no), "amx", true, lines), Error);
  CHECK_THROWS_AS(chosen(sets(false, &yes), "amx", true, lines), Error);
}

}  // namespace troupe::cpu::test
