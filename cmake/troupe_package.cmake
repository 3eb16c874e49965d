include(CMakePackageConfigHelpers)

# troupe_package(): makes find_package(troupe) work, from the install prefix. Call it last.
function(troupe_package)
  set(folder ${CMAKE_INSTALL_LIBDIR}/cmake/troupe)
  configure_package_config_file(
    ${PROJECT_SOURCE_DIR}/cmake/troupe-config.cmake.in ${PROJECT_BINARY_DIR}/troupe-config.cmake
    INSTALL_DESTINATION ${folder} NO_SET_AND_CHECK_MACRO)
  # Before 1.0 each minor version may change the interface.
  write_basic_package_version_file(
    ${PROJECT_BINARY_DIR}/troupe-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/troupe-config.cmake
                ${PROJECT_BINARY_DIR}/troupe-config-version.cmake DESTINATION ${folder})
  install(
    EXPORT troupe
    NAMESPACE troupe::
    FILE troupe-targets.cmake
    DESTINATION ${folder})
endfunction()
