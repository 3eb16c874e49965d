#include "certs.hpp"

#include "small_data.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>

#include <string>

namespace troupe::cli {
namespace {

using test::Folder;

struct Fixture {
  Folder folder{"certs"};
  std::string err;
  Console console{[](std::string_view) {}, [this](std::string_view text) { err += text; }, {}};

  CertsOptions options(const std::string& node = "") const {
    CertsOptions options;
    options.dir = folder / "certs";
    options.cluster = "cluster";
    options.node = node;
    options.days = node.empty() ? 100 : 10;
    return options;
  }
  Error refused(const CertsOptions& options) {
    try {
      certs(options, console);
    } catch (const Error& error) {
      return error;
    }
    FAIL("was not refused");
    return {};
  }
  unsigned mode(const std::string& name) const {
    struct stat status {};
    REQUIRE(::stat((folder / "certs/" + name).c_str(), &status) == 0);
    return status.st_mode & 0777U;
  }
  bool exists(const std::string& name) const {
    struct stat status {};
    return ::stat((folder / "certs/" + name).c_str(), &status) == 0;
  }
};

}  // namespace

TEST_CASE("certs makes an authority and nodes, with keys that only their owner reads", "[cli]") {
  Fixture fixture;
  CHECK(certs(fixture.options(), fixture.console) == 0);
  CHECK(certs(fixture.options("a"), fixture.console) == 0);
  CHECK(fixture.mode("authority.key") == 0600);
  CHECK(fixture.mode("a.key") == 0600);
  CHECK((fixture.mode("authority.crt") & 0400) != 0);
  CHECK(fixture.err.find("certs/a.crt") != std::string::npos);
}

TEST_CASE("certs writes over nothing, and leaves no half", "[cli]") {
  Fixture fixture;
  certs(fixture.options(), fixture.console);
  const std::string key = test::read_file(fixture.folder / "certs/authority.key");
  const Error again = fixture.refused(fixture.options());
  CHECK(again.code() == ErrorCode::invalid_argument);
  CHECK(again.message().ends_with("authority.key is there already"));
  CHECK(!again.hint().empty());
  CHECK(test::read_file(fixture.folder / "certs/authority.key") == key);

  test::write_file(fixture.folder / "certs/b.crt", "mine");
  CHECK(fixture.refused(fixture.options("b")).message().ends_with("b.crt is there already"));
  CHECK(!fixture.exists("b.key"));
  CHECK(test::read_file(fixture.folder / "certs/b.crt") == "mine");
  CHECK(fixture.refused(fixture.options("authority")).code() == ErrorCode::invalid_argument);
}

TEST_CASE("certs says what to do without an authority, or with a broken one", "[cli]") {
  Fixture fixture;
  const Error none = fixture.refused(fixture.options("a"));
  CHECK(none.code() == ErrorCode::file_not_found);
  CHECK(none.hint().starts_with("'troupe certs init' makes an authority"));
  certs(fixture.options(), fixture.console);
  CertsOptions escaping = fixture.options("../a");
  CHECK(fixture.refused(escaping).code() == ErrorCode::invalid_argument);
  test::write_file(fixture.folder / "certs/authority.crt", "nothing");
  CHECK(fixture.refused(fixture.options("a")).code() == ErrorCode::file_corrupt);
  CHECK(!fixture.exists("a.key"));
}

}  // namespace troupe::cli
