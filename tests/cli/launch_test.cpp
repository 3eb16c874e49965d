#include "launch.hpp"

#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <cstdlib>
#include <map>
#include <string>

namespace troupe::cli {
namespace {

/// Sets variables of the environment, and takes them back.
class Variables {
 public:
  explicit Variables(std::map<std::string, std::string> values) {
    for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) ::unsetenv(name);
    for (const auto& [name, value] : values) ::setenv(name.c_str(), value.c_str(), 1);
  }
  ~Variables() {
    for (const char* name : {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}) ::unsetenv(name);
  }
};

using Values = std::map<std::string, std::string>;

Values with(const std::string& name, const std::string& value) {
  Values values{
      {"RANK", "1"}, {"WORLD_SIZE", "4"}, {"MASTER_ADDR", "host"}, {"MASTER_PORT", "7000"}};
  values[name] = value;
  return values;
}

}  // namespace

TEST_CASE("a launcher's variables say which process this is", "[cli]") {
  const Variables set(with("RANK", "3"));
  const auto launch = launch_from_environment();
  REQUIRE(launch);
  CHECK(launch->rank == 3);
  CHECK(launch->world == 4);
  CHECK(launch->master == "host:7000");
}

TEST_CASE("an address with colons is put into brackets", "[cli]") {
  const Variables set(with("MASTER_ADDR", "::1"));
  CHECK(launch_from_environment()->master == "[::1]:7000");
}

TEST_CASE("without a launcher, or in a world of one, there is nothing to say", "[cli]") {
  const Values values = GENERATE(
      Values{}, Values{{"MASTER_PORT", "7000"}}, Values{{"RANK", "0"}, {"WORLD_SIZE", "1"}});
  const Variables set(values);
  CHECK_FALSE(launch_from_environment());
}

TEST_CASE("a launcher's variable that is wrong is named", "[cli]") {
  const auto [name, value] = GENERATE(table<std::string, std::string>(
      {{"RANK", ""},
       {"RANK", "4"},
       {"RANK", "-1"},
       {"RANK", "x"},
       {"WORLD_SIZE", ""},
       {"WORLD_SIZE", "0"},
       {"WORLD_SIZE", "4x"},
       {"MASTER_ADDR", ""},
       {"MASTER_PORT", ""},
       {"MASTER_PORT", "65536"}}));
  CAPTURE(name, value);
  const Variables set(with(name, value));
  try {
    (void)launch_from_environment();
    FAIL("it did not throw");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::invalid_argument);
    CHECK(error.message().find(name) != std::string::npos);
    CHECK_FALSE(error.hint().empty());
  }
}

}  // namespace troupe::cli
