# Programs: what is run, not linked to. Each takes SOURCES and DEPENDS.

# troupe_program(<name> SOURCES ... DEPENDS ... [INSTALL])
function(troupe_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "INSTALL" "" "SOURCES;DEPENDS")
  add_executable(${name} ${arg_SOURCES})
  troupe_defaults(${name})
  target_link_libraries(${name} PRIVATE ${arg_DEPENDS})
  if(arg_INSTALL)
    install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()

# troupe_test(<name> SOURCES ... DEPENDS ... [LABELS fast|slow] [ONE_THREAD])
#
# A Catch2 program that ctest knows by its name. `fast` is meant to end within seconds, sanitizers or
# not; what takes longer is `slow`. ONE_THREAD: it computes in one thread and looks at no clock, so
# that another may run beside it; the rest take two of the places of `ctest --parallel`.
function(troupe_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "ONE_THREAD" "" "SOURCES;DEPENDS;LABELS")
  if(NOT arg_LABELS)
    set(arg_LABELS fast)
  endif()
  troupe_program(${name} SOURCES ${arg_SOURCES} DEPENDS ${arg_DEPENDS} Catch2::Catch2WithMain)
  # What several folders of tests use, such as "support/....hpp".
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  # They are compiled more often than they run; what they test is optimized in full.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  add_test(NAME ${name} COMMAND ${name} --colour-mode none)
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 900)
  if(NOT arg_ONE_THREAD)
    set_tests_properties(${name} PROPERTIES PROCESSORS 2)
  endif()
endfunction()

# troupe_vulkan_test(<name> <program> [HOW <option>...] [ARGS <argument>...] [LABELS fast|slow]
#                    [NARROW] [ONE_THREAD])
#
# Runs a Catch2 program on the first Vulkan device; HOW: see tests/support/vulkan.hpp. With the driver
# that tools/test unpacked, or else with the machine's own; without either there is no such test.
# NARROW: lavapipe's subgroups have four invocations, and its kernels compile in half the time.
set(TROUPE_VULKAN_DRIVER
    ${PROJECT_SOURCE_DIR}/build/packages/vulkan/lvp_icd.json
    CACHE FILEPATH "The Vulkan driver (an ICD's JSON file) that tests take, if it is there")
function(troupe_vulkan_test name program)
  cmake_parse_arguments(PARSE_ARGV 2 arg "NARROW;ONE_THREAD" "LABELS" "HOW;ARGS")
  if(NOT arg_LABELS)
    set(arg_LABELS fast)
  endif()
  file(GLOB installed /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json)
  set(environment TROUPE_TEST_DEVICE=vulkan:0)
  if(EXISTS ${TROUPE_VULKAN_DRIVER})
    cmake_path(GET TROUPE_VULKAN_DRIVER PARENT_PATH folder)
    list(APPEND environment VK_DRIVER_FILES=${TROUPE_VULKAN_DRIVER}
         VK_ADD_LAYER_PATH=${folder}/layers)
  elseif(NOT installed)
    return()
  endif()
  if("address" IN_LIST TROUPE_SANITIZE)
    target_sources(${program} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support/keep_loaded.cpp)
  endif()
  list(JOIN arg_HOW "," how)
  # What drivers and we compile is kept from one test to the next, and out of the user's own cache.
  list(APPEND environment TROUPE_TEST_VULKAN=${how} TROUPE_CACHE=${PROJECT_BINARY_DIR}/vulkan-cache
       MESA_SHADER_CACHE_DIR=${PROJECT_BINARY_DIR}/mesa-cache)
  if(arg_NARROW)
    list(APPEND environment LP_NATIVE_VECTOR_WIDTH=128)
  endif()
  add_test(NAME ${name} COMMAND ${program} --colour-mode none ${arg_ARGS})
  set_tests_properties(
    ${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 900 ENVIRONMENT "${environment}")
  if(NOT arg_ONE_THREAD)
    set_tests_properties(${name} PROPERTIES PROCESSORS 2)
  endif()
endfunction()

# troupe_fuzz(<name> SOURCES ... DEPENDS ... CORPUS <folder> [SECONDS n])
#
# A libFuzzer target. With Clang it fuzzes from the corpus for the given time; with another compiler
# the same sources become a program that replays the corpus once.
function(troupe_fuzz name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "CORPUS;SECONDS" "SOURCES;DEPENDS")
  if(NOT arg_SECONDS)
    set(arg_SECONDS 20)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND TROUPE_SANITIZE)
    troupe_program(${name} SOURCES ${arg_SOURCES} DEPENDS ${arg_DEPENDS})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    add_test(
      NAME ${name}
      COMMAND
        ${name} -max_total_time=${arg_SECONDS} -rss_limit_mb=512 -malloc_limit_mb=32 -timeout=10
        -print_final_stats=1 -artifact_prefix=${CMAKE_CURRENT_BINARY_DIR}/
        ${CMAKE_CURRENT_BINARY_DIR}/${name}.corpus
        ${arg_CORPUS})
    file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${name}.corpus)
  else()
    troupe_program(
      ${name} SOURCES ${arg_SOURCES} ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.cpp
      DEPENDS ${arg_DEPENDS})
    add_test(NAME ${name} COMMAND ${name} ${arg_CORPUS})
  endif()
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT 120)
  set_property(GLOBAL APPEND PROPERTY TROUPE_FUZZERS ${name})
endfunction()

# troupe_bench(<name> SOURCES ... DEPENDS ...)
#
# A Google Benchmark program. ctest runs one short iteration of each benchmark, so that none rots.
function(troupe_bench name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS")
  troupe_program(
    ${name} SOURCES ${arg_SOURCES} DEPENDS ${arg_DEPENDS} benchmark::benchmark_main)
  if(TROUPE_TESTS)
    add_test(NAME ${name}_runs COMMAND ${name} --benchmark_min_time=0.001)
    set_tests_properties(${name}_runs PROPERTIES LABELS bench TIMEOUT 600)
  endif()
endfunction()
