# troupe_shaders(<target> <compiler> <folder>)
#
# Compiles every shader of the folder with the program <compiler> (shaders/compile_shader.cpp)
# and adds to the target a table of the SPIR-V, and the text of what shaders written at run time
# include.
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

  foreach(name IN ITEMS troupe math expression divide)
    file(READ ${folder}/${name}.glsl ${name}_text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${folder}/${name}.glsl)
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

extern const std::string_view troupe_glsl;
extern const std::string_view math_glsl;
extern const std::string_view expression_glsl;
extern const std::string_view divide_glsl;
const std::string_view troupe_glsl = R\"glsl(@troupe_text@)glsl\";
const std::string_view math_glsl = R\"glsl(@math_text@)glsl\";
const std::string_view expression_glsl = R\"glsl(@expression_text@)glsl\";
const std::string_view divide_glsl = R\"glsl(@divide_text@)glsl\";

static const Shader all[] = {
@rows@};
std::span<const Shader> all_shaders() noexcept { return all; }

}  // namespace troupe::vulkan
"
    @ONLY)
  set_source_files_properties(${out}/shader_table.cpp PROPERTIES OBJECT_DEPENDS "${headers}")
  target_sources(${target} PRIVATE ${out}/shader_table.cpp ${headers})
  target_include_directories(${target} PRIVATE ${out})
endfunction()
