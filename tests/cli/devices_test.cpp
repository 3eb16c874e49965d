#include "devices.hpp"

#include <troupe/core/error.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>

namespace troupe::cli {
namespace {

struct Fixture {
  std::string out;
  std::string err;
  Console console{
      [this](std::string_view text) { out += text; },
      [this](std::string_view text) { err += text; },
      {}};
  System system{System::Options{.threads = 1}};

  std::string refusal(const std::string& name) {
    try {
      (void)attach_device(system, name, console);
    } catch (const Error& error) {
      return std::string(to_string(error.code())) + ": " + error.message() + " / " + error.hint();
    }
    return "";
  }
};

}  // namespace

TEST_CASE("devices lists the processor", "[cli]") {
  Fixture fixture;
  CHECK(devices(fixture.console) == 0);
  CHECK(fixture.out.starts_with("cpu  "));
  CHECK(fixture.out.ends_with("\n"));
}

TEST_CASE("a device that is not there is refused with a way to find those that are", "[cli]") {
  for (const char* name : {"gpu", "vulkan", "vulkan:", "vulkan:x", "vulkan:-1", "cuda:0"}) {
    Fixture fixture;
    CAPTURE(name);
    const std::string said = fixture.refusal(name);
    CHECK(said.find(name) != std::string::npos);
    CHECK(said.find("device") != std::string::npos);
  }
  // Without a loader or a driver, without such a device: each its own words, none a crash.
  Fixture fixture;
  const std::string said = fixture.refusal("vulkan:99");
  CHECK((said.starts_with("device_mismatch") || said.starts_with("unsupported")));
}

TEST_CASE("a device is attached once, by whatever name it is asked for", "[cli]") {
  Fixture fixture;
  Device& cpu = attach_device(fixture.system, "cpu", fixture.console);
  CHECK(&attach_device(fixture.system, "cpu", fixture.console) == &cpu);
  Device& first = attach_device(fixture.system, "auto", fixture.console);
  CHECK(&attach_device(fixture.system, std::string(first.name()), fixture.console) == &first);
}

TEST_CASE("auto never picks a software device", "[cli]") {
  Fixture fixture;
  Device& device = attach_device(fixture.system, "auto", fixture.console);
  CHECK(fixture.err.find("software") == std::string::npos);
  CHECK((device.name() == "cpu" || device.name().starts_with("vulkan:")));
}

}  // namespace troupe::cli
