#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace troupe::vulkan {

/// Holds glslang ready; any number of them, in any number of threads.
class Glslang {
 public:
  Glslang();
  ~Glslang();
  Glslang(const Glslang&) = delete;
  Glslang& operator=(const Glslang&) = delete;
};

/// SPIR-V of a compute shader, or what glslang has against it.
struct Spirv {
  std::vector<std::uint32_t> code;
  std::string faults;  ///< empty: there is code
};

/// A file that a shader named in an #include.
struct Included {
  bool found = false;
  std::string text;
};
using ReadIncluded = std::function<Included(const std::string& name)>;

/// Compiles GLSL for Vulkan 1.2.
///
/// @param text     the whole shader, from its #version on
/// @param defines  lines of "#define …" that go before all but the #version
/// @param read     reads what it includes; null: it includes nothing
[[nodiscard]] Spirv spirv_of(
    const std::string& text, const std::string& defines = {}, const ReadIncluded& read = {});

}  // namespace troupe::vulkan
