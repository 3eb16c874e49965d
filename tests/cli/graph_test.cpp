#include "graph.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace troupe::cli {
namespace {

struct Fixture {
  std::string out;
  std::string said;
  Console console{
      [this](std::string_view text) { out += text; },
      [this](std::string_view text) { said += text; },
      {}};

  GraphOptions options(const std::string& model) {
    GraphOptions options;
    options.config.model = model;
    options.config.batch_size = 4;
    options.machine.threads = 1;
    return options;
  }
};

}  // namespace

TEST_CASE("graph prints a step before and after passes", "[cli]") {
  Fixture before, after;
  GraphOptions options = before.options("cnn");
  options.after = "dead-code";
  CHECK(graph(options, before.console) == 0);
  CHECK(before.out.find(" relu_backward(") != std::string::npos);
  CHECK(before.out.find("linear + relu") == std::string::npos);
  options.after.clear();
  CHECK(graph(options, after.console) == 0);
  CHECK(after.out.find("linear + relu") != std::string::npos);
  CHECK(after.out.size() < before.out.size());
  CHECK(after.said.find("a step of training on float32[4, 1, 28, 28]") != std::string::npos);
}

TEST_CASE("graph shows the step of testing, of every model", "[cli]") {
  for (const char* const model : {"mlp", "cnn", "gpt"}) {
    Fixture fixture;
    GraphOptions options = fixture.options(model);
    options.config.layers = 1;
    options.eval = true;
    CHECK(graph(options, fixture.console) == 0);
    CHECK(fixture.out.find("linear") != std::string::npos);
    CHECK(fixture.out.find("adam") == std::string::npos);
  }
}

TEST_CASE("graph draws", "[cli]") {
  Fixture fixture;
  const std::filesystem::path file = std::filesystem::temp_directory_path() / "troupe_graph.svg";
  GraphOptions options = fixture.options("mlp");
  options.svg = file.string();
  CHECK(graph(options, fixture.console) == 0);
  std::ifstream stream(file);
  const std::string picture{std::istreambuf_iterator<char>(stream), {}};
  std::filesystem::remove(file);
  CHECK(picture.starts_with("<svg "));
  CHECK(picture.find("linear + relu") != std::string::npos);
  CHECK(fixture.out.empty());

  options.svg = "/no/such/folder/g.svg";
  CHECK_THROWS_AS(graph(options, fixture.console), Error);
}

TEST_CASE("a pass that there is not is told with those that there are", "[cli]") {
  Fixture fixture;
  GraphOptions options = fixture.options("mlp");
  options.after = "fusoin";
  try {
    (void)graph(options, fixture.console);
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(error.hint().find("fusion") != std::string::npos);
  }
  CHECK_THROWS_AS(
      graph(
          [&] {
            GraphOptions other = fixture.options("mlp");
            other.run = "/no/such/run";
            return other;
          }(),
          fixture.console),
      Error);
}

}  // namespace troupe::cli
