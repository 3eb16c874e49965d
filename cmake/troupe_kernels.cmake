set(TROUPE_CPU_SETS "sse2;avx2;avx512" CACHE STRING "Instruction sets to compile kernels for")

set(troupe_flags_sse2 "")
set(troupe_arch_sse2 xsimd::sse2)
set(troupe_flags_avx2 -mavx2 -mfma)
set(troupe_arch_avx2 "xsimd::fma3<xsimd::avx2>")
set(troupe_flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512cd -mavx512vl -mavx2 -mfma)
set(troupe_arch_avx512 xsimd::avx512bw)

# troupe_cpu_objects(<target> <name> <base> FLAGS <flag>... SOURCES <src/...cpp>...): adds the objects
# <target>_<name>, compiled for the instruction set <base> and with more flags, to the target.
function(troupe_cpu_objects target name base)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "FLAGS;SOURCES")
  get_target_property(dependencies ${target} LINK_LIBRARIES)
  set(objects ${target}_${name})
  add_library(${objects} OBJECT ${arg_SOURCES})
  troupe_defaults(${objects})
  target_link_libraries(${objects} PRIVATE ${dependencies})
  target_include_directories(${objects} PRIVATE include src)
  target_include_directories(
    ${objects} SYSTEM PRIVATE $<TARGET_PROPERTY:xsimd,INTERFACE_INCLUDE_DIRECTORIES>)
  target_compile_definitions(${objects} PRIVATE "TROUPE_CPU_ARCH=${troupe_arch_${base}}")
  target_compile_options(
    ${objects}
    PRIVATE
      ${troupe_flags_${base}}
      ${arg_FLAGS}
      # GCC 12 warns about padding inside its own AVX-512 intrinsics once they are inlined.
      $<$<CXX_COMPILER_ID:GNU>:-Wno-uninitialized>)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${objects}>)
endfunction()

# troupe_cpu_kernels(<target> SOURCES <src/...cpp>...)
#
# Compiles kernels once for each instruction set and adds the objects to the target. Each copy sees
# its xsimd type as TROUPE_CPU_ARCH; which one runs is chosen at run time. What such a file calls must
# be a template over that type or have internal linkage: the linker keeps one copy of everything else,
# and it may be the one for a newer processor. troupe_isa_leak_tests holds us to it.
function(troupe_cpu_kernels target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES")
  foreach(set IN LISTS TROUPE_CPU_SETS)
    string(TOUPPER ${set} SET)
    target_compile_definitions(${target} PRIVATE TROUPE_CPU_${SET})
    troupe_cpu_objects(${target} ${set} ${set} SOURCES ${arg_SOURCES})
    troupe_precompile(${target}_${set} src/simd.hpp src/kernel.hpp)
  endforeach()
endfunction()

# troupe_cpu_products(<target> <set> FLAGS <flag>... SOURCES <src/...cpp>...)
#
# Compiles the products of an instruction set that has the kernels of AVX-512 otherwise. What such a
# file shares with others must carry the set's name; it is not one of xsimd's.
function(troupe_cpu_products target set)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "FLAGS;SOURCES")
  if(avx512 IN_LIST TROUPE_CPU_SETS)
    troupe_cpu_objects(${target} ${set} avx512 FLAGS ${arg_FLAGS} SOURCES ${arg_SOURCES})
  endif()
endfunction()

# troupe_cpu_sees_sets(<target>): for programs that call kernels past the device, which sets there are.
function(troupe_cpu_sees_sets target)
  foreach(set IN LISTS TROUPE_CPU_SETS)
    string(TOUPPER ${set} SET)
    target_compile_definitions(${target} PRIVATE TROUPE_CPU_${SET})
  endforeach()
endfunction()

# troupe_isa_leak_tests(<target>): checks the objects of troupe_cpu_kernels with cmake/isa_leak.cmake.
function(troupe_isa_leak_tests target)
  # Less optimized or instrumented code calls small functions of the standard library that are inlined
  # otherwise, and such a build stays on the machine that made it.
  if(TROUPE_SANITIZE OR NOT CMAKE_BUILD_TYPE STREQUAL "Release")
    return()
  endif()
  set(sets ${TROUPE_CPU_SETS})
  list(REMOVE_ITEM sets sse2)
  if(avx512 IN_LIST sets)
    list(APPEND sets avx512bf16 amx)
  endif()
  foreach(set IN LISTS sets)
    add_test(
      NAME ${target}_isa_leak_${set}
      COMMAND
        ${CMAKE_COMMAND}
        # A precompiled header counts as an object, and holds no code.
        "-DOBJECTS=$<FILTER:$<TARGET_OBJECTS:${target}_${set}>,EXCLUDE,\\.gch$>" -DMARK=${set}
        -DNM=${CMAKE_NM} -DALLOWED=${PROJECT_SOURCE_DIR}/tests/cpu/isa_leak_allowed.txt -P
        ${PROJECT_SOURCE_DIR}/cmake/isa_leak.cmake)
    set_tests_properties(${target}_isa_leak_${set} PROPERTIES LABELS fast)
  endforeach()
endfunction()
