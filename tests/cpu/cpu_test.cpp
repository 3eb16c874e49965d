#include "run_plan.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/ops/cumsum.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

namespace troupe::cpu::test {

// The conformance tests loop over instruction_sets(): a set that it forgot would go untested.
TEST_CASE("a device offers every instruction set of build and processor", "[cpu]") {
  const std::vector<std::string_view> offered = instruction_sets();
  const std::vector<NamedPlan> built = kernels<Cumsum>();
  REQUIRE(offered.size() == built.size());
  for (std::size_t i = 0; i < offered.size(); ++i) {
    CHECK(offered[i] == built[i].isa);
    System system(System::Options{.threads = 1});
    const Device& device = attach(system, {.instruction_set = std::string(offered[i])});
    CHECK(instruction_set(device) == offered[i]);
  }
  System system(System::Options{.threads = 1});
  CHECK(instruction_set(attach(system)) == offered.back());  // the newest, unless told
}

TEST_CASE("an instruction set that is not there is refused with those that are", "[cpu]") {
  System system(System::Options{.threads = 1});
  try {
    (void)attach(system, {.instruction_set = "avx4096"});
    FAIL("taken");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::unsupported);
    CHECK(error.hint().find(instruction_sets().front()) != std::string::npos);
  }
}

}  // namespace troupe::cpu::test
