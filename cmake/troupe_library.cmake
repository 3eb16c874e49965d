# troupe_library(<name>
#   HEADERS <include/troupe/...hpp>... [SOURCES <src/...cpp>...]
#   [DEPENDS <target>...] [PRIVATE_DEPENDS <target>...])
#
# A module: the static library troupe_<name>, known as troupe::<name> here and to those who install it.
# Its include root is its own, so a file sees a module's headers only by linking to it: that is what
# keeps the floors apart. Header-only private dependencies stay inside the build; consumers need them
# neither to compile nor to link.
function(troupe_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS;SOURCES;DEPENDS;PRIVATE_DEPENDS")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "troupe_library(${name}): unknown arguments ${arg_UNPARSED_ARGUMENTS}")
  endif()

  set(target troupe_${name})
  if(arg_SOURCES)
    # Never shared: visibility is hidden, and one static library is what embedders asked for.
    add_library(${target} STATIC ${arg_SOURCES})
    set(scope PUBLIC)
    troupe_defaults(${target})
    target_include_directories(${target} PRIVATE src)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
    target_compile_features(${target} INTERFACE cxx_std_20)
  endif()
  add_library(troupe::${name} ALIAS ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name} VERIFY_INTERFACE_HEADER_SETS ON)

  # An embedder's program holds of the library what it calls; a choice that he can take back.
  target_link_options(${target} INTERFACE $<$<PLATFORM_ID:Linux>:LINKER:--gc-sections>)
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS include FILES ${arg_HEADERS})
  target_link_libraries(${target} ${scope} ${arg_DEPENDS})
  foreach(dependency IN LISTS arg_PRIVATE_DEPENDS)
    troupe_link_privately(${target} ${dependency})
  endforeach()

  install(
    TARGETS ${target}
    EXPORT troupe
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  set_property(GLOBAL APPEND PROPERTY TROUPE_LIBRARIES ${target})
endfunction()

# Links a dependency that only the target's own sources include.
function(troupe_link_privately target dependency)
  get_target_property(kind ${dependency} TYPE)
  if(kind STREQUAL INTERFACE_LIBRARY AND NOT dependency MATCHES "^(troupe|Threads)::")
    target_link_libraries(${target} PRIVATE $<BUILD_INTERFACE:${dependency}>)
  else()
    target_link_libraries(${target} PRIVATE ${dependency})
  endif()
endfunction()
