#include "doctor.hpp"

#include "session.hpp"

#include <troupe/cpu/cpu.hpp>
#include <troupe/cpu/limits.hpp>
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

void print_limits(Device& device, Console& console) {
  const cpu::Limits limits = cpu::measure_limits(device);
  const std::string all = limits.threads == 1 ? "" : std::to_string(limits.threads) + " threads";
  char line[96];
  const auto row = [&](const char* name, const cpu::Rate& rate, const char* unit) {
    if (limits.threads == 1)
      std::snprintf(line, sizeof line, "  %-22s%12.1f  %s\n", name, rate.one_thread / 1e9, unit);
    else
      std::snprintf(
          line,
          sizeof line,
          "  %-22s%12.1f%14.1f  %s\n",
          name,
          rate.one_thread / 1e9,
          rate.all_threads / 1e9,
          unit);
    console.print(line);
  };
  std::snprintf(line, sizeof line, "%-24s%12s%14s\n", "limits", "1 thread", all.c_str());
  console.print(line);
  row("float32 multiply-adds", limits.float32, "GFLOP/s");
  if (limits.bfloat16) row("bfloat16 products", *limits.bfloat16, "GFLOP/s");
  for (const cpu::MemoryLimit& memory : limits.memory) {
    row((std::string(memory.place) + " read").c_str(), memory.read, "GB/s");
    row((std::string(memory.place) + " triad").c_str(), memory.triad, "GB/s");
  }
}

}  // namespace

int doctor(const DoctorOptions& options, Console& console) {
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
  if (options.limits) print_limits(session.device(), console);
  return 0;
}

}  // namespace troupe::cli
