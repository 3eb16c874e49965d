#include "shader.hpp"

#include <string>

namespace troupe::vulkan {

std::span<const Shader> all_shaders() noexcept;  // made by CMake: shader_table.cpp

const Shader* find_shader(std::string_view name, std::string_view variant) noexcept {
  for (const Shader& shader : all_shaders())
    if (shader.name == name && shader.variant == variant) return &shader;
  return nullptr;
}

std::string_view shader_text(std::string_view file) noexcept {
  for (const ShaderText& text : all_shader_texts())
    if (text.file == file) return text.text;
  return {};
}

ShaderByDType::ShaderByDType(std::string_view name) noexcept {
  for (std::size_t i = 0; i < dtype_count; ++i)
    variants_[i] = find_shader(name, name_of(static_cast<DType>(i)));
}

ShaderBySize::ShaderBySize(std::string_view name) noexcept {
  for (const char size : {'1', '2', '4', '8'})
    variants_[size - '0'] = find_shader(name, std::string_view(&size, 1));
}

}  // namespace troupe::vulkan
