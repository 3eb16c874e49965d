#pragma once

#include "kernel_table.hpp"

#include <xsimd/xsimd.hpp>

#include <string>
#include <vector>

/// All kernels of the CPU backend by instruction set, for tests and benches of what ops share.
namespace troupe::cpu {

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

namespace test {

struct NamedTable {
  std::string isa;
  KernelTable table;
};

/// Those that this build and this machine have, oldest first.
inline std::vector<NamedTable> kernel_tables() {
  std::vector<NamedTable> list;
#ifdef TROUPE_CPU_SSE2
  list.push_back({"sse2", make_kernel_table<xsimd::sse2>()});
#endif
#ifdef TROUPE_CPU_AVX2
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
    list.push_back({"avx2", make_kernel_table<xsimd::fma3<xsimd::avx2>>()});
#endif
#ifdef TROUPE_CPU_AVX512
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    list.push_back({"avx512", make_kernel_table<xsimd::avx512bw>()});
#endif
  return list;
}

template <class Op, class... Ops>
constexpr std::size_t index_in(OpList<Ops...>) {
  std::size_t index = 0;
  (void)((std::is_same_v<Op, Ops> || (++index, false)) || ...);
  return index;
}
/// An op's place in the tables.
template <class Op>
constexpr std::size_t index_of = index_in<Op>(AllOps{});

}  // namespace test
}  // namespace troupe::cpu
