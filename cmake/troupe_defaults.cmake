# How our own code is compiled. Nothing here reaches those who link to an installed Troupe: the flags
# travel inside the build through a target that is never exported.

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or RelWithDebInfo" FORCE)
  endif()
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  set(CMAKE_LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  set(CMAKE_ARCHIVE_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/lib)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

include(GNUInstallDirs)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
# The archive, not the shared library: a program that reads no compressed file then holds nothing of
# it, and needs nothing at run time but the C++ library. The installed package asks for the same.
set(ZLIB_USE_STATIC_LIBS ON)

# Every compiler warns of something else, and some of it is false. A stranger's build must not fail for
# that, so errors are made of the warnings of one compiler: the one that our tests run with.
set(werror "")
if(TROUPE_WERROR
   AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
   AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  set(werror -Werror)
endif()

add_library(troupe_flags INTERFACE)
target_compile_options(
  troupe_flags
  INTERFACE
    -Wall
    -Wextra
    # Not CMake's -O3: what is hot is written out in registers of a chosen width already. Measured, -O3
    # made kernels twice as large and a CNN's step 1 % faster.
    $<$<CONFIG:Release>:-O2>
    # The same bits everywhere: a multiplication and an addition are fused only where the code says so.
    -ffp-contract=off
    # So that a program is linked without the functions that it does not use: see troupe_library.
    -ffunction-sections
    -fdata-sections
    # GCC 12 takes `"text" + std::string{}` for an overlapping copy (its bug 105651), or for one of
    # more bytes than there are, depending on what it inlined; and the unused members of a variant, or
    # the unused places of `Dims`, for values. All of these have sanitizers behind them.
    $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overread>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
    ${werror})

if(TROUPE_SANITIZE)
  list(JOIN TROUPE_SANITIZE "," sanitizers)
  target_compile_options(
    troupe_flags INTERFACE -fsanitize=${sanitizers} -fno-sanitize-recover=all
                           -fno-omit-frame-pointer)
  target_link_options(troupe_flags INTERFACE -fsanitize=${sanitizers})
endif()

# troupe_defaults(<target>): what every target of ours has in common.
function(troupe_defaults target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:troupe_flags>)
  set_target_properties(
    ${target} PROPERTIES CXX_EXTENSIONS OFF CXX_VISIBILITY_PRESET hidden
                         VISIBILITY_INLINES_HIDDEN ON)
endfunction()
