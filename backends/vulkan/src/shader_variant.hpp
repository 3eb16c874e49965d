#pragma once

#include <string>
#include <string_view>

/// What a shader is compiled with for a dtype: of the build (shaders/compile_shader.cpp) and at run
/// time alike.
namespace troupe::vulkan {

struct ShaderDType {
  std::string_view name;
  std::string_view glsl;
  std::string_view sum;  ///< what sums of it are kept in
};
inline constexpr ShaderDType shader_dtypes[] = {
    {"float32", "float", "float"},
    {"float64", "double", "double"},
    {"int32", "int", "int64_t"},
    {"int64", "int64_t", "int64_t"},
    {"uint8", "uint8_t", "int64_t"},
    {"bool", "uint8_t", "int64_t"},
    {"bfloat16", "uint16_t", "float"},
    {"float16", "float16_t", "float"},
};

[[nodiscard]] inline std::string define(std::string_view name, std::string_view value = "") {
  return "#define " + std::string(name) + " " + std::string(value) + "\n";
}

/// Empty for what is no dtype's name.
[[nodiscard]] inline std::string defines_of_dtype(std::string_view name) {
  for (const ShaderDType& dtype : shader_dtypes)
    if (dtype.name == name)
      return define("T", dtype.glsl) + define("A", dtype.sum) +
             define("DTYPE_" + std::string(name));
  return {};
}

}  // namespace troupe::vulkan
