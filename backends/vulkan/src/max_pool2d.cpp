#include "cooperative.hpp"
#include "copy.hpp"
#include "encoder.hpp"
#include "windows.hpp"

#include <troupe/tensor/ops/max_pool2d.hpp>

namespace troupe::vulkan {
namespace {

/// The places bound as bytes, and as int32. Of the two only the one that fits is touched; where the
/// places are bytes, which may begin anywhere, `filler` stands in for the other.
Operand narrow(Operand places) {
  places.unit = 1;
  return places;
}
Operand wide(Operand places, Operand filler) {
  Operand operand = places.value->dtype() == DType::int32 ? places : filler;
  operand.unit = 4;
  return operand;
}

/// The first input, and where the first output is computed: as float32 where they have 16 bits.
Value first_input(Encoder& encoder) {
  const Value& value = encoder.in(0);
  return is_computable(value->dtype()) ? encoder.contiguous(value) : widened(encoder, value);
}
Value first_output(Encoder& encoder) {
  const Value& value = encoder.out(0);
  return is_computable(value->dtype()) ? value : encoder.scratch(DType::float32, value->shape());
}

/// What the forward shader does beside taking the largest.
struct Forward {
  bool relu = false;
  bool keeps_places = true;
};

/// Runs one of the shaders, with an element of the first output, computed in `out`, for each
/// invocation.
void launch(
    Encoder& encoder,
    const ShaderByDType& shaders,
    const Value& out,
    const MaxPool2dRule& rule,
    const Shape& plane,
    const Shape& pooled,
    DType places,
    std::initializer_list<Operand> operands,
    Forward forward = {}) {
  const Shader& shader = encoder.shader(shaders, out->dtype());
  const auto params = WindowParams::of(plane, pooled, rule.padding, out->meta().elements());
  if (params.n == 0) return;
  const auto number = [](std::int64_t x) { return static_cast<std::uint32_t>(x); };
  encoder.dispatch(
      shader,
      {encoder.plain_group(),
       places == DType::int32 ? 1u : 0u,
       number(rule.kernel_size[0]),
       number(rule.kernel_size[1]),
       number(rule.stride[0]),
       number(rule.stride[1]),
       number(rule.dilation[0]),
       number(rule.dilation[1]),
       forward.relu ? 1u : 0u,
       forward.keeps_places ? 1u : 0u},
      operands,
      params,
      grid_for(params.n, encoder.plain_group()));
  if (out.get() != encoder.out(0).get()) encode_cast(encoder, out, encoder.out(0));
}

/// The gradient, and the derivative along a direction: both read the places that were largest.
/// `plane` and `pooled` are those of the first input and the output, in one order or the other.
void launch_by_places(
    Encoder& encoder,
    const ShaderByDType& shaders,
    const MaxPool2dRule& rule,
    const Shape& plane,
    const Shape& pooled) {
  const Value in = first_input(encoder);
  const Value places = encoder.contiguous(encoder.in(1));
  const Value out = first_output(encoder);
  launch(
      encoder,
      shaders,
      out,
      rule,
      plane,
      pooled,
      places->dtype(),
      {read(in), narrow(read(places)), wide(read(places), read(in)), write(out)});
}

void launch_forward(Encoder& encoder, const MaxPool2dRule& rule, bool keeps_places, bool relu) {
  static const ShaderByDType shaders("max_pool2d");
  const Value x = first_input(encoder);
  const Value y = first_output(encoder);
  const Value& places = keeps_places ? encoder.out(1) : y;
  launch(
      encoder,
      shaders,
      y,
      rule,
      x->shape(),
      y->shape(),
      places->dtype(),
      {read(x), write(y), narrow(write(places)), wide(write(places), write(y))},
      {relu, keeps_places});
}

}  // namespace

template <>
void Kernel<MaxPool2d>::encode(Encoder& encoder, const MaxPool2d& op) {
  launch_forward(encoder, op, true, op.relu);
}

template <>
void Kernel<MaxPool2dValues>::encode(Encoder& encoder, const MaxPool2dValues& op) {
  launch_forward(encoder, op, false, op.relu);
}

template <>
void Kernel<MaxPool2dBackward>::encode(Encoder& encoder, const MaxPool2dBackward& op) {
  static const ShaderByDType shaders("max_pool2d_backward");
  launch_by_places(encoder, shaders, op, encoder.out(0)->shape(), encoder.in(0)->shape());
}

template <>
void Kernel<MaxPool2dTake>::encode(Encoder& encoder, const MaxPool2dTake& op) {
  static const ShaderByDType shaders("max_pool2d_take");
  launch_by_places(encoder, shaders, op, encoder.in(0)->shape(), encoder.out(0)->shape());
}

}  // namespace troupe::vulkan
