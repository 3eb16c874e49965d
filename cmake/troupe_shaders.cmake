# troupe_shaders(<target> <compiler> <folder>)
#
# Compiles every shader of the folder with the program <compiler> (shaders/compile_shader.cpp)
# and adds to the target a table of the SPIR-V, and one of the texts of all files of the folder: what
# is compiled at run time includes some and varies others.
function(troupe_shaders target compiler folder)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/shaders)
  file(MAKE_DIRECTORY ${out})
  file(GLOB shaders CONFIGURE_DEPENDS ${folder}/*.comp)

  set(headers "")
  set(includes "")
  set(rows "")
  foreach(shader IN LISTS shaders)
    cmake_path(GET shader STEM name)
    set(header ${out}/${name}.hpp)
    add_custom_command(
      OUTPUT ${header}
      COMMAND ${compiler} ${shader} ${header} ${header}.d
      DEPENDS ${shader} ${compiler}
      DEPFILE ${header}.d
      COMMENT "Shader ${name}"
      VERBATIM)
    list(APPEND headers ${header})
    string(APPEND includes "#include \"${name}.hpp\"\n")
    string(APPEND rows "ROWS_${name}\n")
  endforeach()

  file(GLOB included CONFIGURE_DEPENDS ${folder}/*.glsl)
  set(texts "")
  foreach(file IN LISTS shaders included)
    file(READ ${file} text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    cmake_path(GET file FILENAME name)
    string(APPEND texts "    {\"${name}\", R\"glsl(${text})glsl\"},\n")
  endforeach()
  file(
    CONFIGURE
    OUTPUT ${out}/shader_table.cpp
    CONTENT
      "#include \"shader.hpp\"

#include <cstdint>
#include <string_view>

namespace troupe::vulkan {
namespace {
@includes@}  // namespace

static const Shader all[] = {
@rows@};
std::span<const Shader> all_shaders() noexcept { return all; }

static const ShaderText texts[] = {
@texts@};
std::span<const ShaderText> all_shader_texts() noexcept { return texts; }

}  // namespace troupe::vulkan
"
    @ONLY)
  set_source_files_properties(${out}/shader_table.cpp PROPERTIES OBJECT_DEPENDS "${headers}")
  target_sources(${target} PRIVATE ${out}/shader_table.cpp ${headers})
  target_include_directories(${target} PRIVATE ${out})
endfunction()
