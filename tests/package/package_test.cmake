# Goal: `find_package(troupe)` gives a stranger's project all it needs and nothing more.
# Method: installs into a scratch prefix, moves that elsewhere, builds examples/embed against it with
# our private dependencies out of reach, runs it, and looks at the program that comes out.

function(run)
  execute_process(COMMAND ${ARGV} OUTPUT_VARIABLE out ERROR_VARIABLE out RESULT_VARIABLE code)
  if(NOT code STREQUAL "0")
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "${command}\nended with ${code}:\n${out}")
  endif()
  set(out "${out}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${SCRATCH})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${SCRATCH}/first)
# A package is moved about: by packagers, into containers, onto other disks.
file(RENAME ${SCRATCH}/first ${SCRATCH}/prefix)

# The headers stand on the C++ library alone.
file(GLOB_RECURSE headers ${SCRATCH}/prefix/include/*)
list(LENGTH headers header_count)
if(header_count LESS 20)
  message(FATAL_ERROR "only ${header_count} headers were installed")
endif()
foreach(header IN LISTS headers)
  file(STRINGS ${header} foreign REGEX "^ *# *include *(\"|<(xsimd|nlohmann|CLI|boost|cereal|openssl|zlib|immintrin))")
  if(foreign)
    message(FATAL_ERROR "${header} includes what a user may not have: ${foreign}")
  endif()
endforeach()

# Nothing of this machine and no flag of ours is handed on.
file(GLOB_RECURSE files ${SCRATCH}/prefix/*.cmake)
foreach(file IN LISTS files)
  file(READ ${file} text)
  foreach(word IN ITEMS ${BUILD} ${PROJECT} INTERFACE_COMPILE_OPTIONS INTERFACE_COMPILE_DEFINITIONS
                        xsimd nlohmann CLI11 cereal Boost)
    string(FIND "${text}" "${word}" place)
    if(NOT place EQUAL -1)
      message(FATAL_ERROR "${file} hands on '${word}'")
    endif()
  endforeach()
endforeach()

run(
  ${CMAKE_COMMAND} -G ${GENERATOR} -S ${PROJECT} -B ${SCRATCH}/embed -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_PREFIX_PATH=${SCRATCH}/prefix
  "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wpedantic -Werror" -DCMAKE_DISABLE_FIND_PACKAGE_xsimd=ON
  -DCMAKE_DISABLE_FIND_PACKAGE_nlohmann_json=ON -DCMAKE_DISABLE_FIND_PACKAGE_CLI11=ON
  -DCMAKE_DISABLE_FIND_PACKAGE_cereal=ON -DCMAKE_DISABLE_FIND_PACKAGE_Boost=ON)
run(${CMAKE_COMMAND} --build ${SCRATCH}/embed)
set(program ${SCRATCH}/embed/embed)
run(${program})
message(STATUS "embed says:\n${out}")
if(NOT out MATCHES "both systems ended clean")
  message(FATAL_ERROR "embed did not say that both systems ended clean:\n${out}")
endif()

run(${STRIP} -o ${program}.stripped ${program})
file(SIZE ${program}.stripped bytes)
message(STATUS "stripped: ${bytes} bytes")
if(bytes GREATER 4700000)
  message(FATAL_ERROR "the stripped program has ${bytes} bytes; 4,700,000 is the bound")
endif()

run(${OBJDUMP} -p ${program}.stripped)
string(REGEX MATCHALL "NEEDED +[^\n]+" needed "${out}")
foreach(library IN LISTS needed)
  string(REGEX REPLACE "NEEDED +" "" library "${library}")
  if(NOT library MATCHES "^(libstdc\\+\\+|libm|libgcc_s|libc|ld-linux-x86-64)\\.so")
    message(FATAL_ERROR "the program needs ${library}; only the C++ and C libraries were promised")
  endif()
endforeach()
