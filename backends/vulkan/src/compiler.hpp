#pragma once

#include "context.hpp"
#include "shader.hpp"
#include "spirv.hpp"

#include <troupe/core/disk.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace troupe::vulkan {

/// Compiles GLSL that is written at run time, and keeps what it made: in memory by its text, and in
/// the cache folder by a hash of text and compiler. What lies there and is not whole is ignored and
/// written anew.
///
/// Threads   any; one compiles at a time.
class Compiler {
 public:
  Compiler(Context& context, Disk& disk) noexcept : context_(context), disk_(disk) {}
  Compiler(const Compiler&) = delete;
  Compiler& operator=(const Compiler&) = delete;

  /// @param text  everything after `#version`, of `bindings` tensors; named `name` in errors.
  ///              Throws `internal` where it does not compile: we wrote it.
  [[nodiscard]] const Shader& compile(
      const std::string& name, std::uint32_t bindings, const std::string& text);
  /// What a shader of the table becomes another one by.
  struct Variation {
    std::string_view file;  ///< of the folder shaders/, which the shader includes
    std::string text;       ///< in its place
    std::uint32_t more_bindings = 0;
    std::string_view more_params = "";  ///< where the shader's PARAMS end with MORE_PARAMS
  };
  [[nodiscard]] const Shader& compile_varied(const Shader& shader, const Variation& variation);
  [[nodiscard]] std::uint64_t compiled() const noexcept { return compiled_; }

 private:
  struct Made {
    std::string name;
    std::vector<std::uint32_t> code;
    Shader shader;
  };
  /// What was made of these before, or what `translate` makes of them now.
  [[nodiscard]] const Shader& find_or_make(
      const std::string& name,
      std::uint32_t bindings,
      const std::string& key,
      const std::function<Spirv()>& translate);
  [[nodiscard]] bool read(const std::string& path, std::vector<std::uint32_t>& code) const;
  void write(const std::string& path, const std::vector<std::uint32_t>& code) const;

  const Glslang glslang_;
  Context& context_;
  Disk& disk_;
  std::mutex lock_;
  std::unordered_map<std::string, std::unique_ptr<Made>> made_;
  std::atomic<std::uint64_t> compiled_{0};
};

}  // namespace troupe::vulkan
