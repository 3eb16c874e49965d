#include "session.hpp"

#include <troupe/cpu/cpu.hpp>

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
  cpu::attach(system_);
  device_ = &Devices::of(system_).get(options.device);
}

std::string numeric_profile(const Device& device) {
  std::string profile = "troupe " TROUPE_VERSION ", ";
  profile += device.name();
  if (device.name() == "cpu") {
    profile += " ";
    profile += cpu::instruction_set(device);
  }
  return profile + ", float32 products at highest precision";
}

}  // namespace troupe::cli
