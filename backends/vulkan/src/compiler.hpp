#pragma once

#include "context.hpp"
#include "shader.hpp"
#include "spirv.hpp"

#include <troupe/core/disk.hpp>

#include <cstdint>
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
  [[nodiscard]] std::uint64_t compiled() const noexcept { return compiled_; }

 private:
  struct Made {
    std::string name;
    std::vector<std::uint32_t> code;
    Shader shader;
  };
  [[nodiscard]] bool read(const std::string& path, std::vector<std::uint32_t>& code) const;
  void write(const std::string& path, const std::vector<std::uint32_t>& code) const;

  const Glslang glslang_;
  Context& context_;
  Disk& disk_;
  std::mutex lock_;
  std::unordered_map<std::string, std::unique_ptr<Made>> made_;
  std::atomic<std::uint64_t> compiled_{0};
};

/// The text of shaders/troupe.glsl, math.glsl, expression.glsl and divide.glsl.
extern const std::string_view troupe_glsl;
extern const std::string_view math_glsl;
extern const std::string_view expression_glsl;
extern const std::string_view divide_glsl;

}  // namespace troupe::vulkan
