#include "cpu_device.hpp"
#include "instruction_sets.hpp"

#include <troupe/core/error.hpp>
#include <troupe/cpu/cpu.hpp>

#include <cpuid.h>

#include <cstring>
#include <memory>
#include <string>

namespace troupe::cpu {

namespace {

CpuDevice& cpu_device(const Device& device) {
  if (const auto* cpu = dynamic_cast<const CpuDevice*>(&device))
    return const_cast<CpuDevice&>(*cpu);
  throw Error(ErrorCode::device_mismatch, "\"" + std::string(device.name()) + "\" is not the CPU");
}

std::string processor_name() {
  unsigned words[12] = {};
  for (unsigned leaf = 0; leaf < 3; ++leaf)
    if (!__get_cpuid(
            0x80000002u + leaf,
            &words[leaf * 4],
            &words[leaf * 4 + 1],
            &words[leaf * 4 + 2],
            &words[leaf * 4 + 3]))
      return "unknown processor";
  char text[49] = {};
  std::memcpy(text, words, sizeof words);
  std::string name = text;
  name.erase(0, name.find_first_not_of(' '));
  return name;
}

}  // namespace

CpuDevice::CpuDevice(System& system, const Options& options)
    : Device(system), memory_(options), precision_(options.float32_precision) {
  const InstructionSet set = choose_set(
      known_sets(),
      options.instruction_set,
      options.tiles,
      [&](LogLevel level, std::string_view line) { system.log(level, line); });
  instruction_set_ = set.name;
  table_ = set.make_table();
  index_by_id_.fill(none);
  std::uint16_t index = 0;
  for (const OpInfo* op : all_ops()) {
    if (op->family == OpFamily::structured || op->family == OpFamily::elementwise)
      index_by_id_.at(static_cast<std::uint32_t>(op->id)) = index;
    ++index;
  }
}

std::string CpuDevice::description() const {
  return processor_name() + ", " + std::string(instruction_set_) + " kernels";
}

Device& attach(System& system, const Options& options) {
  auto device = std::make_unique<CpuDevice>(system, options);
  Device& attached = *device;
  Devices::of(system).add(std::move(device));
  return attached;
}

std::vector<std::string_view> instruction_sets() {
  std::vector<std::string_view> names;
  for (const InstructionSet& set : known_sets())
    if (set.present) names.push_back(set.name);
  return names;
}

std::string_view instruction_set(const Device& device) {
  return cpu_device(device).instruction_set();
}

void set_float32_precision(Device& device, Precision precision) {
  cpu_device(device).set_float32_precision(precision);
}

Precision float32_precision(const Device& device) { return cpu_device(device).float32_precision(); }

MemoryStatistics memory(const Device& device) { return cpu_device(device).memory().statistics(); }

void trim(Device& device) { cpu_device(device).memory().trim(); }

void add_kernel(Device& device, const OpInfo& op, HostKernel kernel) {
  cpu_device(device).add_kernel(op, kernel);
}

}  // namespace troupe::cpu
