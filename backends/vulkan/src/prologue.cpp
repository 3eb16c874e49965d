#include "prologue.hpp"

#include "segment_steps.hpp"
#include "vulkan_device.hpp"

#include <troupe/tensor/ops/adam_update.hpp>
#include <troupe/tensor/ops/sgd_update.hpp>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace troupe::vulkan {

namespace {

/// Null for what is no update.
const Shader* shader_of(const OpInstance& rule, DType dtype) noexcept {
  static const ShaderByDType adam("adam_update");
  static const ShaderByDType sgd("sgd_update");
  const OpId id = rule.info().id;
  return id == AdamUpdate::id ? adam[dtype] : id == SgdUpdate::id ? sgd[dtype] : nullptr;
}

std::string number(std::size_t n) { return std::to_string(n); }

/// What takes the place of shaders/gradient.glsl.
std::string text_of(
    SegmentSteps steps,
    std::span<const Meta> inputs,
    const Meta& gradient,
    std::uint32_t bindings) {
  const std::string own(glsl_type(gradient.dtype));
  const std::string macro = "DTYPE_" + std::string(name_of(gradient.dtype));
  std::string text;
  std::string taken, passed, read;
  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const std::string type(glsl_type(inputs[k].dtype));
    text += "BINDING(" + (k == 0 ? "GRADIENT_BINDING" : number(bindings + k - 1)) + ", readonly, " +
            type + ", prologue_in" + number(k) + ")\n";
    taken += (k > 0 ? ", " : "") + type + " x" + number(k);
    passed += "x" + number(k) + ", ";
    read += (k > 0 ? ", AT(prologue_in" : "AT(prologue_in") + number(k) +
            (inputs[k].shape == gradient.shape ? ", I)" : ", 0u)");
  }
  text += "#undef T\n#undef " + macro + "\n" + std::move(steps).functions();
  text += "#define T " + own + "\n#define " + macro + "\n";
  text += own + " gradient(" + taken + ") {\n  " + own + " y;\n  segment(" + passed +
          "y);\n  return y;\n}\n";
  // By address tensors are known in main() alone.
  text += "#define GRADIENT(I) gradient(" + read + ")\n";
  return text;
}

}  // namespace

bool Prologue::fits(
    const Fused& fused, std::span<const Meta> inputs, const Meta& gradient) noexcept {
  const Shader* const rule = shader_of(*fused.fold, gradient.dtype);
  return rule && !fused.head && rule->bindings - 1 + inputs.size() <= bindings_max &&
         std::all_of(inputs.begin(), inputs.end(), [&](const Meta& input) {
           return input.shape == gradient.shape || input.elements() == 1;
         });
}

Prologue::Prologue(
    const VulkanDevice& device,
    Compiler& compiler,
    const Fused& fused,
    std::span<const Meta> inputs) {
  std::vector<DType> dtypes;
  for (const Meta& input : inputs) dtypes.push_back(input.dtype);
  SegmentSteps steps(device, fused.segment, dtypes);
  const Meta gradient{steps.result(0), fused.segment_shape(inputs)};
  const Shader* const rule = shader_of(*fused.fold, gradient.dtype);
  if (!rule || fused.folded + 1U != fused.segment.inputs + fused.segment.steps.size())
    misfit("a prologue makes no gradient");
  shader_ = &compiler.compile_varied(
      *rule,
      {"gradient.glsl",
       text_of(std::move(steps), inputs, gradient, rule->bindings),
       static_cast<std::uint32_t>(inputs.size() - 1)});
}

GradientInput::GradientInput(Encoder& encoder, const ShaderByDType& rules) {
  const std::size_t written = encoder.launch().outputs.size();
  for (std::size_t i = written; i + 1 < encoder.inputs(); ++i)
    inputs_[count_++] = encoder.contiguous(encoder.in(i));
  shader_ = encoder.prologue() ? &encoder.prologue()->shader()
                               : &encoder.shader(rules, encoder.in(0)->dtype());
}

OperandList GradientInput::with(std::initializer_list<Operand> operands) const noexcept {
  OperandList all;
  all.add(operands);
  for (std::size_t k = 1; k < count_; ++k) all.add(read(inputs_[k]));
  return all;
}

}  // namespace troupe::vulkan
