# Fails if an object compiled for a newer instruction set holds a function that the linker may share
# with code compiled for all processors.
#
#   cmake -DOBJECTS=a.o;b.o -DMARK=avx2 -DNM=nm [-DALLOWED=file] -P isa_leak.cmake
#
# An inline function or template that several objects define is kept once, and it may be this copy.
# So each such symbol must carry the instruction set in its mangled name (MARK), which makes it
# another function. ALLOWED: a regular expression and a reason on each line, for symbols that are
# never kept from these objects or hold no instructions.

set(patterns "")
if(ALLOWED)
  file(STRINGS ${ALLOWED} lines REGEX "^[^#]")
  foreach(line IN LISTS lines)
    if(NOT line MATCHES "^([^ ]+) +[^ ]")
      message(FATAL_ERROR "${ALLOWED}: '${line}' gives no reason")
    endif()
    list(APPEND patterns ${CMAKE_MATCH_1})
  endforeach()
endif()

set(leaks "")
set(count 0)
foreach(object IN LISTS OBJECTS)
  execute_process(
    COMMAND ${NM} --defined-only ${object}
    OUTPUT_VARIABLE symbols
    COMMAND_ERROR_IS_FATAL ANY)
  # W and w: functions, kept once; u, V and v are data. T would be defined twice, which the linker
  # refuses anyway.
  string(REGEX MATCHALL " [Ww] [^\n]+" symbols "${symbols}")
  foreach(symbol IN LISTS symbols)
    string(SUBSTRING "${symbol}" 3 -1 symbol)
    math(EXPR count "${count} + 1")
    if(symbol MATCHES "${MARK}")
      continue()
    endif()
    set(allowed FALSE)
    foreach(pattern IN LISTS patterns)
      if(symbol MATCHES "${pattern}")
        set(allowed TRUE)
        break()
      endif()
    endforeach()
    if(NOT allowed)
      cmake_path(GET object FILENAME name)
      list(APPEND leaks "${name}: ${symbol}")
    endif()
  endforeach()
endforeach()

if(leaks)
  list(REMOVE_DUPLICATES leaks)
  list(JOIN leaks "\n  " text)
  message(
    FATAL_ERROR
      "compiled for ${MARK}, but the linker may use them on any processor:\n  ${text}\n"
      "Make each a template over the architecture, or give it internal linkage.")
endif()
if(count EQUAL 0)
  message(FATAL_ERROR "no shared function in '${OBJECTS}': nothing was checked")
endif()
message(STATUS "${count} shared functions, all marked ${MARK}")
