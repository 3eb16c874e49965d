#include "session.hpp"

#include "devices.hpp"

#include <troupe/cpu/cpu.hpp>

#include <cstdlib>

namespace troupe::cli {

namespace {

System::Options system_options(const MachineOptions& options, Console& console) {
  System::Options system;
  system.threads = options.threads;
  system.log = [&console](LogLevel level, std::string_view line) {
    if (level >= LogLevel::warning) console.say(line);
  };
  return system;
}

}  // namespace

Session::Session(const MachineOptions& options, Console& console)
    : system_(system_options(options, console)) {
  device_ = &attach_device(system_, options.device, console);
}

Passes chosen_passes() {
  const char* const words = std::getenv("TROUPE_PASSES");
  return words && *words ? Passes::parse(words) : Passes::all();
}

std::string numeric_profile(const Device& device) {
  std::string profile = "troupe " TROUPE_VERSION ", ";
  std::string_view precision = "highest";
  profile += device.name();
  if (device.name() == "cpu") {
    profile += " ";
    profile += cpu::instruction_set(device);
    precision = name_of(cpu::float32_precision(device));
  } else {
    profile += " (" + device.description() + ")";
  }
  return profile + ", float32 products at " + std::string(precision) + " precision";
}

}  // namespace troupe::cli
