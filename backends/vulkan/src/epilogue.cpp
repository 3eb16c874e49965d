#include "epilogue.hpp"

#include "segment_steps.hpp"
#include "vulkan_device.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace troupe::vulkan {

namespace {

Epilogue::Place place_of(const Value& other, const Value& product) {
  if (!other) return Epilogue::Place::none;
  const Shape& shape = product->shape();
  if (other->meta().elements() == 1) return Epilogue::Place::one;
  if (other->shape() == shape) return Epilogue::Place::alike;
  if (other->shape().size() == 1 && shape.size() > 0 &&
      other->shape()[0] == shape[shape.size() - 1])
    return Epilogue::Place::last;
  misfit("an epilogue reads " + to_string(other->meta()) + " beside " + to_string(product->meta()));
}

/// What takes the place of shaders/epilogue.glsl.
std::string text_of(
    SegmentSteps steps,
    DType dtype,
    DType other_dtype,
    std::uint32_t binding,
    Epilogue::Place place) {
  const std::string own(glsl_type(dtype));
  const std::string macro = "DTYPE_" + std::string(name_of(dtype));
  const bool other = place != Epilogue::Place::none;
  std::string text;
  if (other)
    text += "BINDING(" + std::to_string(binding) + ", readonly, " +
            std::string(glsl_type(other_dtype)) + ", epilogue_other)\n";
  text += shader_text("math.glsl");
  text += "#undef T\n#undef " + macro + "\n" + std::move(steps).functions();
  text += "#define T " + own + "\n#define " + macro + "\n";
  text += own + " finish(uint place, uint last, " + own + " sum) {\n  " + own + " result;\n";
  const char* const at = place == Epilogue::Place::alike  ? "place"
                         : place == Epilogue::Place::last ? "last"
                                                          : "0u";
  text += std::string("  segment(sum, ") +
          (other ? std::string("AT(epilogue_other, ") + at + "), " : "") + "result);\n";
  text += "  return result;\n}\n#define FINISH(PLACE, LAST, SUM) finish(PLACE, LAST, SUM)\n";
  return text;
}

}  // namespace

EpilogueShader::EpilogueShader(
    Encoder& encoder, const Shader& shader, const Epilogue* epilogue, const Value& product)
    : shader_(&shader) {
  if (!epilogue) return;
  const Segment& segment = epilogue->segment;
  if (segment.steps.empty() || segment.inputs != (epilogue->other ? 2 : 1) ||
      segment.outputs.size() > 1)
    misfit("an epilogue has other inputs or outputs");
  const Epilogue::Place place = place_of(epilogue->other, product);
  if (epilogue->other) other_ = encoder.contiguous(epilogue->other);
  const Value inputs[] = {product, other_};
  const std::span<const Value> used(inputs, segment.inputs);

  VulkanDevice& device = encoder.device();
  // Shaders are told apart by their place in the table.
  const std::uint64_t form =
      reinterpret_cast<std::uintptr_t>(&shader) << 2 | static_cast<std::uint64_t>(place);
  shader_ = device.epilogue_shaders().find(segment, used, form);
  if (shader_) return;
  SegmentSteps steps(encoder, segment, used);
  if (steps.result(0) != product->dtype()) misfit("an epilogue's result has another dtype");
  const DType other_dtype = other_ ? other_->dtype() : product->dtype();
  shader_ = &device.compiler().compile_varied(
      shader,
      {"epilogue.glsl",
       text_of(std::move(steps), product->dtype(), other_dtype, shader.bindings, place),
       other_ ? 1U : 0U});
  device.epilogue_shaders().add(segment, used, form, *shader_);
}

OperandList EpilogueShader::with(std::initializer_list<Operand> operands) const noexcept {
  OperandList all;
  all.add(operands);
  if (other_) all.add(read(other_));
  return all;
}

}  // namespace troupe::vulkan
