#include "run_plan.hpp"

#include <troupe/core/error.hpp>
#include <troupe/core/system.hpp>
#include <troupe/cpu/cpu.hpp>
#include <troupe/tensor/ops/matmul.hpp>
#include <troupe/tensor/scope.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <string>
#include <vector>

namespace troupe::cpu::test {

// The conformance tests loop over instruction_sets(): a set that it forgot would go untested.
TEST_CASE("a device offers every instruction set of build and processor", "[cpu]") {
  const std::vector<std::string_view> offered = instruction_sets();
  const std::vector<NamedPlan> built = kernels<Matmul>();
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

TEST_CASE("a device computes float32 products at the precision it is set to", "[cpu]") {
  System system(System::Options{.threads = 1});
  Options options;
  options.float32_precision = Precision::medium;
  Device& device = attach(system, options);
  CHECK(float32_precision(device) == Precision::medium);
  const Scope scope(system);
  // 1 + 2⁻¹⁰ is no bfloat16.
  const std::vector<float> numbers(64 * 64, 1.0009765625f);
  const Tensor a = Tensor::copy_of<float>(numbers, {64, 64});
  const float rough = matmul(a, a).to_vector<float>()[0];
  set_float32_precision(device, Precision::highest);
  CHECK(float32_precision(device) == Precision::highest);
  const float exact = matmul(a, a).to_vector<float>()[0];
  CHECK(std::abs(exact - 64.125061f) < 1e-4f);
  const bool rounds = instruction_set(device) == "avx512bf16" || instruction_set(device) == "amx";
  CHECK(rough == (rounds ? 64.0f : exact));
}

}  // namespace troupe::cpu::test
