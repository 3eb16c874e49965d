#include "doctor.hpp"

#include "session.hpp"

#include <troupe/cpu/cpu.hpp>
#include <troupe/data/dataset.hpp>
#include <troupe/tensor/device.hpp>

#include <unistd.h>

#include <cstdio>
#include <string>
#include <thread>

namespace troupe::cli {

namespace {

std::string gibibytes(long pages) {
  char text[32];
  const double bytes = static_cast<double>(pages) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  std::snprintf(text, sizeof text, "%.1f GiB", bytes / (1 << 30));
  return text;
}

/// "data set        fashion-mnist: 60000 + 10000 images", or what is wrong and how to mend it.
std::string data_line(Disk& disk, const std::string& spec) {
  const auto dataset = data::open_image_dataset(disk, spec);
  if (dataset)
    return spec + ": " + std::to_string(dataset.value().train->count) + " + " +
           std::to_string(dataset.value().test->count) + " images";
  std::string line = spec + ": missing: " + dataset.error().message();
  if (!dataset.error().hint().empty()) line += "\n                  fix: " + dataset.error().hint();
  return line;
}

}  // namespace

int doctor(Console& console) {
  Session session({}, console);
  const auto say = [&](std::string name, const std::string& value) {
    name.resize(18, ' ');
    console.print(name + value + "\n");
  };
  std::string sets;
  for (const std::string_view set : cpu::instruction_sets()) {
    if (!sets.empty()) sets += ", ";
    sets += set;
  }
  say("troupe", TROUPE_VERSION);
  say("device", session.device().description());
  say("instruction sets",
      sets + "; in use: " + std::string(cpu::instruction_set(session.device())));
  say("cores", std::to_string(std::thread::hardware_concurrency()));
  say("memory",
      gibibytes(::sysconf(_SC_AVPHYS_PAGES)) + " free of " + gibibytes(::sysconf(_SC_PHYS_PAGES)));
  say("numeric profile", numeric_profile(session.device()));
  say("data set", data_line(session.system().disk(), "fashion-mnist"));
  say("", "shapes10:DIR: made in DIR when it is first trained on");
  say("", "idx:DIR, cifar10:DIR: from files of your own");
  return 0;
}

}  // namespace troupe::cli
