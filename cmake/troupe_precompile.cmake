# troupe_precompile(<target> <header>...): reads headers that nearly every source of a target includes
# once, not once a source. Halves the time to compile the kernels, where xsimd is most of it.
#
# Every source still names what it includes: with a compiler cache, which does not take to precompiled
# headers, this does nothing, and neither does it for the check that each header stands alone.
function(troupe_precompile target)
  if(CMAKE_CXX_COMPILER_LAUNCHER)
    return()
  endif()
  target_precompile_headers(${target} PRIVATE ${ARGN})
endfunction()
