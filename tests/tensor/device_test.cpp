#include "support/engine.hpp"

#include <troupe/tensor/device.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace troupe;

TEST_CASE("devices are found by name, and a wrong name lists those there are", "[tensor]") {
  test::Engine engine;
  Devices& devices = Devices::of(engine.system);
  CHECK(&devices.get("cpu") == &engine.device);
  CHECK(&devices.first() == &engine.device);
  try {
    (void)devices.get("vulkan:0");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::device_mismatch);
    CHECK(error.hint().find("cpu") != std::string::npos);
  }
}

TEST_CASE("a system without a device says how to attach one", "[tensor]") {
  System system({.threads = 1});
  CHECK_THROWS_AS(Scope(system), Error);
}
