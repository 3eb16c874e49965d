#include "console.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::cli {
namespace {

struct Fixture {
  explicit Fixture(Console::Options options)
      : console(
            [this](std::string_view t) { out += t; },
            [this](std::string_view t) { err += t; },
            options) {}
  std::string out;
  std::string err;
  Console console;
};

TEST_CASE("results go to standard output, all else to standard error", "[cli]") {
  Fixture fixture({});
  fixture.console.print("0.9\n");
  fixture.console.say("training");
  CHECK(fixture.out == "0.9\n");
  CHECK(fixture.err == "training\n");
}

TEST_CASE("one of a thing is not called many", "[cli]") {
  CHECK(counted(0, "peer") == "0 peers");
  CHECK(counted(1, "peer") == "1 peer");
  CHECK(counted(2, "peer") == "2 peers");
}

TEST_CASE("quiet leaves errors and results", "[cli]") {
  Fixture fixture({.quiet = true, .terminal = true});
  fixture.console.print("0.9\n");
  fixture.console.say("training");
  fixture.console.draw("45%");
  fixture.console.complain("it broke");
  CHECK(fixture.out == "0.9\n");
  CHECK(fixture.err == "error: it broke\n");
}

TEST_CASE("a drawn line is drawn over, and ended before the next line", "[cli]") {
  Fixture fixture({.terminal = true});
  fixture.console.draw("45%");
  fixture.console.draw("46%");
  fixture.console.say("epoch 1");
  fixture.console.end_drawing();
  CHECK(fixture.err == "\r45%\x1b[K\r46%\x1b[K\nepoch 1\n");
}

TEST_CASE("nothing is drawn where standard error is no terminal", "[cli]") {
  Fixture fixture({});
  fixture.console.draw("45%");
  fixture.console.end_drawing();
  CHECK(fixture.err.empty());
}

TEST_CASE("an error is one block with all that is known", "[cli]") {
  Fixture fixture({});
  fixture.console.complain(Error(ErrorCode::shape_mismatch, "[2, 3] and [4, 5] do not fit")
                               .op("matmul")
                               .at("net.cpp", 12)
                               .actor("node")
                               .step(7)
                               .hint("transpose one"));
  CHECK(
      fixture.err ==
      "error: matmul: [2, 3] and [4, 5] do not fit\n  built at net.cpp:12\n  in actor node\n"
      "  in step 7\n  hint: transpose one\n");
}

TEST_CASE("colour only where it is wanted", "[cli]") {
  Fixture coloured({.terminal = true, .colour = true});
  coloured.console.complain("it broke");
  CHECK(coloured.err == "\x1b[1;31merror:\x1b[0m it broke\n");
}

}  // namespace
}  // namespace troupe::cli
