#include "spirv.hpp"

#include <glslang/Public/ResourceLimits.h>
#include <glslang/Public/ShaderLang.h>
#include <glslang/SPIRV/GlslangToSpv.h>

#include <memory>
#include <utility>

namespace troupe::vulkan {

namespace {

/// All includes are of one folder, whoever includes.
class Includer final : public glslang::TShader::Includer {
 public:
  explicit Includer(const ReadIncluded& read) : read_(read) {}

  IncludeResult* includeLocal(const char* name, const char*, std::size_t) override {
    if (!read_) return nullptr;
    auto file = std::make_unique<Included>(read_(name));
    if (!file->found) return nullptr;
    const std::string& text = file->text;
    auto* const result = new IncludeResult(name, text.data(), text.size(), file.get());
    (void)file.release();
    return result;
  }
  void releaseInclude(IncludeResult* result) override {
    if (!result) return;
    delete static_cast<Included*>(result->userData);
    delete result;
  }

 private:
  const ReadIncluded& read_;
};

}  // namespace

Glslang::Glslang() { glslang::InitializeProcess(); }
Glslang::~Glslang() { glslang::FinalizeProcess(); }

Spirv spirv_of(const std::string& text, const std::string& defines, const ReadIncluded& read) {
  glslang::TShader shader(EShLangCompute);
  const char* const begin = text.c_str();
  shader.setStrings(&begin, 1);
  shader.setPreamble(defines.c_str());
  shader.setEnvInput(glslang::EShSourceGlsl, EShLangCompute, glslang::EShClientVulkan, 100);
  shader.setEnvClient(glslang::EShClientVulkan, glslang::EShTargetVulkan_1_2);
  shader.setEnvTarget(glslang::EShTargetSpv, glslang::EShTargetSpv_1_5);
  const auto messages = static_cast<EShMessages>(EShMsgSpvRules | EShMsgVulkanRules);
  Includer includer(read);
  Spirv spirv;
  const auto faults = [&](const char* log) {
    spirv.faults = *log ? log : "glslang does not say why";
    return std::move(spirv);
  };
  if (!shader.parse(GetDefaultResources(), 460, false, messages, includer))
    return faults(shader.getInfoLog());
  glslang::TProgram program;
  program.addShader(&shader);
  if (!program.link(messages)) return faults(program.getInfoLog());
  glslang::GlslangToSpv(*program.getIntermediate(EShLangCompute), spirv.code);
  return spirv;
}

}  // namespace troupe::vulkan
