#include "cpu_device.hpp"
#include "narrow_sets.hpp"

#include <troupe/core/error.hpp>
#include <troupe/cpu/cpu.hpp>

#include <cpuid.h>
#include <xsimd/xsimd.hpp>

#include <cstring>
#include <memory>
#include <string>
#include <type_traits>

namespace troupe::cpu {

// One for each time the kernels are compiled; see troupe_cpu_kernels in cmake/.
#ifdef TROUPE_CPU_SSE2
template <>
KernelTable make_kernel_table<xsimd::sse2>();
#endif
#ifdef TROUPE_CPU_AVX2
template <>
KernelTable make_kernel_table<xsimd::fma3<xsimd::avx2>>();
#endif
#ifdef TROUPE_CPU_AVX512
template <>
KernelTable make_kernel_table<xsimd::avx512bw>();
#endif

namespace {

#ifdef TROUPE_CPU_AVX512
template <class Op, class... Ops>
constexpr std::size_t place_of(OpList<Ops...>) {
  constexpr bool same[] = {std::is_same_v<Op, Ops>...};
  std::size_t place = 0;
  while (!same[place]) ++place;
  return place;
}

/// The kernels of AVX-512, with the products of a set beyond it.
template <class Set>
KernelTable with_products_of() {
  KernelTable table = make_kernel_table<xsimd::avx512bw>();
  table.plans[place_of<Matmul>(AllOps{})] = &Kernel<Matmul, Set>::plan;
  table.plans[place_of<Linear>(AllOps{})] = &Kernel<Linear, Set>::plan;
  return table;
}
#endif

struct InstructionSet {
  std::string_view name;
  bool present;
  KernelTable (*make_table)();
};

/// Oldest first. Asks the processor and whether the operating system saves its registers.
std::vector<InstructionSet> known_sets() {
  [[maybe_unused]] const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  [[maybe_unused]] const bool avx512 =
      avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512vl");
  return {
#ifdef TROUPE_CPU_SSE2
      {"sse2", true, &make_kernel_table<xsimd::sse2>},
#endif
#ifdef TROUPE_CPU_AVX2
      {"avx2", avx2, &make_kernel_table<xsimd::fma3<xsimd::avx2>>},
#endif
#ifdef TROUPE_CPU_AVX512
      {"avx512", avx512, &make_kernel_table<xsimd::avx512bw>},
      {"avx512bf16",
       avx512 && __builtin_cpu_supports("avx512bf16"),
       &with_products_of<avx512bf16>},
#endif
  };
}

InstructionSet choose(std::string_view wanted) {
  const auto sets = known_sets();
  std::string names;
  InstructionSet chosen{};
  for (const InstructionSet& set : sets) {
    if (!set.present) continue;
    if (wanted.empty() || set.name == wanted) chosen = set;  // the newest, if any will do
    names += (names.empty() ? "" : ", ") + std::string(set.name);
  }
  if (!chosen.make_table)
    throw Error(
        ErrorCode::unsupported,
        wanted.empty() ? "this build has no kernels for this processor"
                       : "this machine cannot run \"" + std::string(wanted) + "\" kernels")
        .hint(names.empty() ? "build with TROUPE_CPU_SETS=sse2;avx2;avx512" : "it has " + names);
  return chosen;
}

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
  const InstructionSet set = choose(options.instruction_set);
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

Precision float32_precision(const Device& device) {
  return cpu_device(device).float32_precision();
}

MemoryStatistics memory(const Device& device) { return cpu_device(device).memory().statistics(); }

void trim(Device& device) { cpu_device(device).memory().trim(); }

void add_kernel(Device& device, const OpInfo& op, HostKernel kernel) {
  cpu_device(device).add_kernel(op, kernel);
}

}  // namespace troupe::cpu
