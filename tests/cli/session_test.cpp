#include "session.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>

namespace troupe::cli {

TEST_CASE("a session has the device that was asked for", "[cli]") {
  Console console([](std::string_view) {}, [](std::string_view) {}, {});
  Session session({.threads = 1}, console);
  CHECK(session.device().name() == "cpu");
  CHECK(session.system().threads() == 1);
  CHECK(numeric_profile(session.device()).find("cpu") != std::string::npos);
  CHECK_THROWS_AS(Session({.device = "gpu:0"}, console), Error);
}

TEST_CASE("the environment chooses passes, for experiments", "[cli]") {
  unsetenv("TROUPE_PASSES");
  CHECK(chosen_passes() == Passes::all());
  setenv("TROUPE_PASSES", "all,-fusion", 1);
  CHECK(chosen_passes() == Passes::all().without(Pass::fusion));
  setenv("TROUPE_PASSES", "everything", 1);
  CHECK_THROWS_AS(chosen_passes(), Error);
  unsetenv("TROUPE_PASSES");
}

}  // namespace troupe::cli
