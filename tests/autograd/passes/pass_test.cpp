#include "graphs.hpp"

#include <troupe/core/error.hpp>
#include <troupe/tensor/all_ops.hpp>

#include <catch2/catch_test_macros.hpp>

#include <set>

using namespace troupe;

TEST_CASE("passes are named in words", "[autograd][passes]") {
  CHECK(Passes::parse("all") == Passes::all());
  CHECK(Passes::parse("none") == Passes::none());
  CHECK(Passes::parse("all,-fusion") == Passes::all().without(Pass::fusion));
  CHECK(Passes::parse("dead-code,views") == Passes::none().with(Pass::dead_code).with(Pass::views));
  CHECK(Passes::until(Pass::views) == Passes::parse("dead-code,views"));
  for (const Passes passes : {Passes::all(), Passes::none(), Passes::until(Pass::fusion)})
    CHECK(Passes::parse(passes.to_string()) == passes);
  std::set<std::string_view> names;
  for (const Pass pass : all_passes) {
    CHECK(names.insert(name_of(pass)).second);
    CHECK(pass_named(name_of(pass)) == pass);
  }
  for (const char* const wrong : {"", "fusoin", "fusion,", "dead-code,all", "-none"}) {
    try {
      (void)Passes::parse(wrong);
      FAIL("'" << wrong << "' was taken");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::invalid_argument);
      CHECK(error.hint().find("dead-code, views") != std::string::npos);
    }
  }
}
