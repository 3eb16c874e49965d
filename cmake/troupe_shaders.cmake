# troupe_shaders(<target> <folder>)
#
# Compiles every shader of the folder, in each variant that its header comment names, once for buffer
# addresses and once for descriptors (see shaders/troupe.glsl), and adds to the target a table of the
# SPIR-V and the text of troupe.glsl.
#
#   // variants: float32 int64       one for each dtype named
#   // variants: size                one for elements of 1, 2, 4 and 8 bytes
#   // variants: cast                one for each ordered pair of dtypes
#   // variants: none                one

set(TROUPE_GLSL_float32 float)
set(TROUPE_GLSL_float64 double)
set(TROUPE_GLSL_int32 int)
set(TROUPE_GLSL_int64 int64_t)
set(TROUPE_GLSL_uint8 uint8_t)
set(TROUPE_GLSL_bool uint8_t)
set(TROUPE_GLSL_float16 float16_t)
set(TROUPE_GLSL_bfloat16 uint16_t)
set(TROUPE_SUM_float32 float)
set(TROUPE_SUM_float64 double)
set(TROUPE_SUM_int32 int64_t)
set(TROUPE_SUM_int64 int64_t)
set(TROUPE_SUM_uint8 int64_t)
set(TROUPE_SUM_bool int64_t)
set(TROUPE_SUM_float16 float)
set(TROUPE_SUM_bfloat16 float)
set(TROUPE_GLSL_1 uint8_t)
set(TROUPE_GLSL_2 uint16_t)
set(TROUPE_GLSL_4 uint)
set(TROUPE_GLSL_8 uvec2)

# _troupe_shader_flags(<out> <kind> <variant>)
function(_troupe_shader_flags out kind variant)
  if(kind STREQUAL "none")
    set(flags "")
  elseif(kind STREQUAL "size")
    set(flags -DT=${TROUPE_GLSL_${variant}} -DSIZE=${variant})
  elseif(kind STREQUAL "cast")
    string(REPLACE "_" ";" pair ${variant})
    list(GET pair 0 from)
    list(GET pair 1 to)
    set(flags -DFROM=${TROUPE_GLSL_${from}} -DDTYPE_FROM_${from} -DT=${TROUPE_GLSL_${to}}
              -DDTYPE_${to})
  else()
    set(flags -DT=${TROUPE_GLSL_${variant}} -DA=${TROUPE_SUM_${variant}} -DDTYPE_${variant})
  endif()
  set(${out} ${flags} PARENT_SCOPE)
endfunction()

function(troupe_shaders target folder)
  find_program(GLSLANG_VALIDATOR NAMES glslangValidator glslang REQUIRED)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/shaders)
  file(MAKE_DIRECTORY ${out})
  file(GLOB shaders CONFIGURE_DEPENDS ${folder}/*.comp)
  file(GLOB included CONFIGURE_DEPENDS ${folder}/*.glsl)
  set(dtypes float32 float64 int32 int64 uint8 bool float16 bfloat16)

  set(headers "")
  set(includes "")
  set(rows "")
  foreach(shader IN LISTS shaders)
    cmake_path(GET shader STEM name)
    file(STRINGS ${shader} line REGEX "^// variants: ")
    list(LENGTH line lines)
    file(STRINGS ${shader} bindings REGEX "^#define BINDINGS [0-9]+$")
    if(NOT lines EQUAL 1 OR NOT bindings)
      message(FATAL_ERROR "${shader}: needs one line '// variants: …' and a '#define BINDINGS n'")
    endif()
    string(REGEX REPLACE "^#define BINDINGS " "" bindings "${bindings}")
    string(REGEX REPLACE "^// variants: " "" kind "${line}")
    if(kind STREQUAL "none")
      set(variants one)
    elseif(kind STREQUAL "size")
      set(variants 1 2 4 8)
    elseif(kind STREQUAL "cast")
      set(variants "")
      foreach(from IN LISTS dtypes)
        foreach(to IN LISTS dtypes)
          if(NOT from STREQUAL to)
            list(APPEND variants ${from}_${to})
          endif()
        endforeach()
      endforeach()
    else()
      string(REPLACE " " ";" variants ${kind})
      set(kind dtype)
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${shader})
    foreach(variant IN LISTS variants)
      _troupe_shader_flags(flags ${kind} ${variant})
      set(symbol ${name}_${variant})
      foreach(way IN ITEMS address descriptor)
        set(way_flags ${flags})
        if(way STREQUAL "descriptor")
          list(APPEND way_flags -DTROUPE_DESCRIPTORS)
        endif()
        set(header ${out}/${symbol}_${way}.h)
        add_custom_command(
          OUTPUT ${header}
          COMMAND
            ${GLSLANG_VALIDATOR} -V --quiet --target-env vulkan1.2 -I${folder}
            ${way_flags} --vn
            ${symbol}_${way} -o ${header} ${shader}
          DEPENDS ${shader} ${included}
          COMMENT "Shader ${symbol}, by ${way}"
          VERBATIM)
        list(APPEND headers ${header})
        string(APPEND includes "#include \"${symbol}_${way}.h\"\n")
      endforeach()
      if(kind STREQUAL "none")
        set(variant "")
      endif()
      string(APPEND rows
             "    {\"${name}\", \"${variant}\", ${bindings}, ${symbol}_address, ${symbol}_descriptor},\n")
    endforeach()
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
