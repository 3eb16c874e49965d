#include "doctor.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::cli {
namespace {

struct Fixture {
  std::string out;
  Console console{[this](std::string_view text) { out += text; }, [](std::string_view) {}, {}};
};

}  // namespace

TEST_CASE("doctor tells what there is and how to mend what is not", "[cli]") {
  Fixture fixture;
  CHECK(doctor({}, fixture.console) == 0);
  for (const char* word :
       {"instruction sets",
        "in use: ",
        "cores",
        "memory",
        "numeric profile",
        "data set",
        "fashion-mnist: "})
    CHECK(fixture.out.find(word) != std::string::npos);
  // Either the set is there or a line says how to get it.
  const bool there = fixture.out.find("60000 + 10000 images") != std::string::npos;
  CHECK((there || fixture.out.find("fix: install it with") != std::string::npos));
  CHECK(fixture.out.find("GFLOP/s") == std::string::npos);  // is measured when asked for
}

TEST_CASE("doctor measures the machine's limits", "[cli]") {
  Fixture fixture;
  CHECK(doctor({.limits = true}, fixture.console) == 0);
  const std::size_t table = fixture.out.find("limits  ");
  REQUIRE(table != std::string::npos);
  for (const char* word :
       {"1 thread", "float32 multiply-adds", "GFLOP/s", "RAM read", "RAM triad", "GB/s"})
    CHECK(fixture.out.find(word, table) != std::string::npos);
}

}  // namespace troupe::cli
