#pragma once

#include "encoder.hpp"

#include <troupe/tensor/fused.hpp>

#include <cstddef>
#include <initializer_list>
#include <span>

namespace troupe::vulkan {

class Compiler;

/// An update's shader that makes each element of the gradient just before it takes it. Kept with
/// the fused op.
class Prologue final : public Executable {
 public:
  /// Whether the shader of the rule, the op's fold, takes such inputs: each is one element, or as
  /// the gradient.
  [[nodiscard]] static bool fits(
      const Fused& fused, std::span<const Meta> inputs, const Meta& gradient) noexcept;

  /// Compiles it, for an update must not fail. Throws `unsupported` and `internal` as
  /// `encode_segment` does.
  Prologue(
      const VulkanDevice& device,
      Compiler& compiler,
      const Fused& fused,
      std::span<const Meta> inputs);

  [[nodiscard]] const Shader& shader() const noexcept { return *shader_; }

 private:
  const Shader* shader_;
};

/// What an update takes its gradient from: a tensor, or what its prologue reads.
class GradientInput {
 public:
  /// @param rules  the update's shaders, of which the launch takes one unless it has a prologue
  GradientInput(Encoder& encoder, const ShaderByDType& rules);

  [[nodiscard]] const Shader& shader() const noexcept { return *shader_; }
  /// What is bound in the gradient's place.
  [[nodiscard]] Operand operand() const noexcept { return read(inputs_[0]); }
  /// Those of the rule, and what else the prologue reads.
  [[nodiscard]] OperandList with(std::initializer_list<Operand> operands) const noexcept;

 private:
  const Shader* shader_;
  Value inputs_[bindings_max];
  std::size_t count_ = 0;
};

}  // namespace troupe::vulkan
