# Fails if an object refers to what it must do without.
#
#   cmake "-DOBJECTS=a.o;b.o" "-DNAMES=x;y" "-DHOLDERS=c.o;d.o" -DNM=nm -P links_none.cmake
#
# NAMES: beginnings of names, none of which may be among an object's, defined or not. HOLDERS: objects
# that together have each of them, or names are looked for that nothing has any more.

function(symbols_of object variable)
  execute_process(
    COMMAND ${NM} --demangle ${object}
    OUTPUT_VARIABLE symbols
    COMMAND_ERROR_IS_FATAL ANY)
  set(${variable}
      "${symbols}"
      PARENT_SCOPE)
endfunction()

set(held "")
foreach(object IN LISTS HOLDERS)
  symbols_of(${object} symbols)
  string(APPEND held "${symbols}")
endforeach()

set(found "")
foreach(name IN LISTS NAMES)
  if(NOT held MATCHES " ${name}")
    message(FATAL_ERROR "nothing is called ${name} any more")
  endif()
  foreach(object IN LISTS OBJECTS)
    symbols_of(${object} symbols)
    if(symbols MATCHES " (${name}[^\n]*)")
      cmake_path(GET object FILENAME file)
      list(APPEND found "${file}: ${CMAKE_MATCH_1}")
    endif()
  endforeach()
endforeach()
if(found)
  list(JOIN found "\n  " text)
  message(FATAL_ERROR "it must not come to these from there:\n  ${text}")
endif()
if(NOT OBJECTS OR NOT NAMES)
  message(FATAL_ERROR "nothing was checked")
endif()
