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

# troupe_test(<name> SOURCES ... DEPENDS ... [LABELS fast|slow])
#
# A Catch2 program that ctest knows by its name. `fast` is meant to end within seconds, sanitizers or
# not; what takes longer is `slow`.
function(troupe_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;DEPENDS;LABELS")
  if(NOT arg_LABELS)
    set(arg_LABELS fast)
  endif()
  troupe_program(${name} SOURCES ${arg_SOURCES} DEPENDS ${arg_DEPENDS} Catch2::Catch2WithMain)
  # What several folders of tests use, such as "support/....hpp".
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} --colour-mode none)
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 900)
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
