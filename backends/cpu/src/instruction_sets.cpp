#include "instruction_sets.hpp"

#include "narrow_sets.hpp"

#include <troupe/core/error.hpp>

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xsimd/xsimd.hpp>

#include <cstdint>
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
template <>
double bfloat16_peak<avx512bf16>(std::int64_t rounds) noexcept;
template <>
double bfloat16_peak<amx>(std::int64_t rounds) noexcept;
#endif

namespace {

constexpr long tile_data = 18;  // the number of the tiles' state, for processor and kernel alike

/// Whether processor and kernel have tiles for bfloat16.
bool has_tiles() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned bf16 = 1u << 22, tile = 1u << 24;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & bf16) == 0 || (d & tile) == 0) return false;
  constexpr unsigned saves_state = 1u << 27;
  if (!__get_cpuid(1, &a, &b, &c, &d) || (c & saves_state) == 0) return false;
  constexpr unsigned tiles_state = 3u << 17;
  asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
  if ((a & tiles_state) != tiles_state) return false;
  constexpr long get_supported = 0x1021;  // ARCH_GET_XCOMP_SUPP
  std::uint64_t supported = 0;
  return ::syscall(SYS_arch_prctl, get_supported, &supported) == 0 && (supported >> tile_data & 1);
}

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
  if constexpr (std::is_same_v<Set, amx>) {
    table.plans[place_of<Conv2d>(AllOps{})] = &Kernel<Conv2d, Set>::plan;
    table.plans[place_of<Conv2dBackwardInput>(AllOps{})] = &Kernel<Conv2dBackwardInput, Set>::plan;
    table.plans[place_of<Conv2dBackwardWeight>(AllOps{})] =
        &Kernel<Conv2dBackwardWeight, Set>::plan;
  }
  table.limit_loops.bfloat16 = &bfloat16_peak<Set>;
  return table;
}
#endif

}  // namespace

bool tiles_permitted() {
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  return has_tiles() && ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

std::vector<InstructionSet> known_sets() {
  [[maybe_unused]] const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  [[maybe_unused]] const bool avx512 =
      avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512cd") &&
      __builtin_cpu_supports("avx512vl");
  [[maybe_unused]] const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
  return {
#ifdef TROUPE_CPU_SSE2
      {"sse2", true, &make_kernel_table<xsimd::sse2>},
#endif
#ifdef TROUPE_CPU_AVX2
      {"avx2", avx2, &make_kernel_table<xsimd::fma3<xsimd::avx2>>},
#endif
#ifdef TROUPE_CPU_AVX512
      {"avx512", avx512, &make_kernel_table<xsimd::avx512bw>},
      {"avx512bf16", bf16, &with_products_of<avx512bf16>, nullptr, true},
      {"amx", bf16 && has_tiles(), &with_products_of<amx>, &tiles_permitted, true},
#endif
  };
}

InstructionSet choose_set(
    std::span<const InstructionSet> sets,
    std::string_view wanted,
    bool tiles,
    const std::function<void(LogLevel, std::string_view)>& log) {
  std::string names;
  const InstructionSet* chosen = nullptr;
  for (const InstructionSet& set : sets) {
    if (!set.present) continue;
    names += (names.empty() ? "" : ", ") + std::string(set.name);
    if (wanted.empty() ? set.permitted && !tiles : set.name != wanted) continue;
    if (set.permitted && !set.permitted()) {
      if (wanted.empty())
        log(LogLevel::warning,
            "the operating system refuses \"" + std::string(set.name) + "\" kernels; those of \"" +
                std::string(chosen ? chosen->name : "none") + "\" are used");
      continue;
    }
    chosen = &set;  // the newest, if any will do
  }
  if (!chosen)
    throw Error(
        ErrorCode::unsupported,
        wanted.empty() ? "this build has no kernels for this processor"
                       : "this machine cannot run \"" + std::string(wanted) + "\" kernels")
        .hint(names.empty() ? "build with TROUPE_CPU_SETS=sse2;avx2;avx512" : "it has " + names);
  return *chosen;
}

}  // namespace troupe::cpu
