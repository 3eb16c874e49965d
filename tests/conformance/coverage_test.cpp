#include "case.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace troupe;
using namespace troupe::conformance;

// Goal: no op is left out. Method: each case that was checked noted which ops it was made of, its
// derivatives' included; what is in AllOps and was not met fails here. Runs last, after all cases;
// run alone it has nothing to judge.
TEST_CASE("every op has a case", "[conformance][coverage]") {
  if (covered().empty()) return;
  std::string left_out;
  for (const OpInfo* info : all_ops())
    // What moves to another device is in no program; tests/vulkan has it.
    if (info->family != OpFamily::transfer && !covered().contains(info->name))
      left_out += " " + std::string(info->name);
  CHECK(left_out == "");
}
