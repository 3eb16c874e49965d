#include "profile_page.hpp"

#include "small_profile.hpp"
#include "support/count.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cctype>
#include <string>
#include <vector>

namespace troupe::cli::test {

namespace {

/// Whether each element is closed by what it was opened with.
bool well_formed(const std::string& page) {
  std::vector<std::string> open;
  for (std::size_t at = page.find('<'); at != page.npos; at = page.find('<', at + 1)) {
    const std::size_t end = page.find('>', at);
    if (end == page.npos) return false;
    const bool closes = page[at + 1] == '/';
    std::size_t last = at + 1 + closes;
    while (std::isalnum(static_cast<unsigned char>(page[last]))) ++last;
    const std::string name = page.substr(at + 1 + closes, last - at - 1 - closes);
    if (name.empty()) {
      if (page.compare(at, 2, "<!") != 0) return false;
    } else if (closes) {
      if (open.empty() || open.back() != name) return false;
      open.pop_back();
    } else if (name != "meta") {
      open.push_back(name);
    }
  }
  return open.empty();
}

}  // namespace

TEST_CASE("a profile's page is whole, and needs nothing else", "[cli]") {
  const std::string page = page_of(small_profile(), small_limits(), "a <small> step");
  CHECK(page.starts_with("<!DOCTYPE html>"));
  CHECK(well_formed(page));
  CHECK(troupe::test::count(page, "a &lt;small&gt; step") == 2);
  CHECK(page.find("float32[&lt;3&gt;]") != std::string::npos);
  CHECK(troupe::test::count(page, "<svg ") == 2);
  CHECK(troupe::test::count(page, "<tr>") == 5);  // a line of names, and one for each op
  CHECK(troupe::test::count(page, "<g>") == 3);   // a bar for each name
  for (const char* word :
       {"linear + relu",
        "sum (backward)",
        "gradient of add",
        "50.0 GFLOP/s",
        "5.0 GB/s",
        "60.0 %",
        "×2"})
    CHECK(page.find(word) != std::string::npos);
  CHECK(page.find("src=") == std::string::npos);
  CHECK(page.find("href=") == std::string::npos);
  CHECK(page.find("<script") == std::string::npos);
  CHECK(troupe::test::count(page, "http") == 2);  // the name of SVG, which nothing is fetched from
  CHECK(page.find("nan") == std::string::npos);
  CHECK(page.find("inf") == std::string::npos);
}

TEST_CASE("a page of a step without time is a page", "[cli]") {
  ProgramProfile profile;
  profile.ops = {{.name = "sum", .result = "float32[1]"}};
  const std::string page = page_of(profile, small_limits(), "nothing");
  CHECK(well_formed(page));
  CHECK(page.find("nan") == std::string::npos);
  CHECK(page.find("inf") == std::string::npos);
}

}  // namespace troupe::cli::test
