#include "session.hpp"

#include <catch2/catch_test_macros.hpp>

namespace troupe::cli {

TEST_CASE("a session has the device that was asked for", "[cli]") {
  Console console([](std::string_view) {}, [](std::string_view) {}, {});
  Session session({.threads = 1}, console);
  CHECK(session.device().name() == "cpu");
  CHECK(session.system().threads() == 1);
  CHECK(numeric_profile(session.device()).find("cpu") != std::string::npos);
  CHECK_THROWS_AS(Session({.device = "gpu:0"}, console), Error);
}

}  // namespace troupe::cli
