#pragma once

#include <troupe/tensor/dtype.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace troupe::vulkan {

/// A shader compiled for one dtype (or element size), both ways: see shaders/troupe.glsl.
struct Shader {
  std::string_view name;     ///< of the file in shaders/, without its ending
  std::string_view variant;  ///< "float32", "8" (bytes); empty where there is only one
  std::uint32_t bindings;
  std::span<const std::uint32_t> by_address;  ///< SPIR-V
  std::span<const std::uint32_t> by_descriptor;
};

/// A file of the folder shaders/.
struct ShaderText {
  std::string_view file;  ///< "troupe.glsl"
  std::string_view text;
};
[[nodiscard]] std::span<const ShaderText> all_shader_texts() noexcept;
/// Empty for a file that is not there.
[[nodiscard]] std::string_view shader_text(std::string_view file) noexcept;

/// A shader by name and variant, or null. What CMake compiled; see troupe_shaders in cmake/.
[[nodiscard]] const Shader* find_shader(std::string_view name, std::string_view variant) noexcept;

/// A shader of which each dtype has a variant; null where it has none.
class ShaderByDType {
 public:
  explicit ShaderByDType(std::string_view name) noexcept;
  [[nodiscard]] const Shader* operator[](DType dtype) const noexcept {
    return variants_[static_cast<std::size_t>(dtype)];
  }

 private:
  const Shader* variants_[dtype_count] = {};
};

/// A shader that moves elements without looking at them: a variant for 1, 2, 4 and 8 bytes.
class ShaderBySize {
 public:
  explicit ShaderBySize(std::string_view name) noexcept;
  [[nodiscard]] const Shader* operator[](DType dtype) const noexcept {
    return variants_[size_of(dtype)];
  }

 private:
  const Shader* variants_[9] = {};
};

}  // namespace troupe::vulkan
