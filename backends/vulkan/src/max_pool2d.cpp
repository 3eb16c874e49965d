#include "divisor.hpp"
#include "encoder.hpp"

#include <troupe/tensor/ops/max_pool2d.hpp>

namespace troupe::vulkan {
namespace {

struct Params {
  std::uint32_t n;
  Divisor size[2], out_size[2];
  std::int32_t padding[2];
};

/// `plane` is the shape of the larger tensor, `pooled` of the smaller; an invocation for each of
/// `n` elements.
Params params_of(
    const MaxPool2dRule& rule, const Shape& plane, const Shape& pooled, std::int64_t n) {
  Params params{};
  params.n = static_cast<std::uint32_t>(n);
  const std::size_t first = plane.size() - 2;
  for (std::size_t i = 0; i < 2; ++i) {
    params.size[i] = Divisor::of(static_cast<std::uint32_t>(plane[first + i]));
    params.out_size[i] = Divisor::of(static_cast<std::uint32_t>(pooled[first + i]));
    params.padding[i] = static_cast<std::int32_t>(rule.padding[i]);
  }
  return params;
}

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

void launch(
    Encoder& encoder,
    const Shader& shader,
    const MaxPool2dRule& rule,
    const Value& places,
    std::initializer_list<Operand> operands,
    const Params& params) {
  const auto number = [](std::int64_t x) { return static_cast<std::uint32_t>(x); };
  encoder.dispatch(
      shader,
      {encoder.plain_group(),
       places->dtype() == DType::int32 ? 1u : 0u,
       number(rule.kernel_size[0]),
       number(rule.kernel_size[1]),
       number(rule.stride[0]),
       number(rule.stride[1]),
       number(rule.dilation[0]),
       number(rule.dilation[1])},
      operands,
      params,
      grid_for(params.n, encoder.plain_group()));
}

}  // namespace

template <>
void Kernel<MaxPool2d>::encode(Encoder& encoder, const MaxPool2d& op) {
  static const ShaderByDType shaders("max_pool2d");
  const Value x = encoder.contiguous(encoder.in(0));
  const Value& y = encoder.out(0);
  const Value& places = encoder.out(1);
  const Shader* shader = shaders[x->dtype()];
  if (!shader) encoder.refuse(x->dtype());
  const Params params = params_of(op, x->shape(), y->shape(), y->meta().elements());
  if (params.n == 0) return;
  launch(
      encoder,
      *shader,
      op,
      places,
      {read(x), write(y), narrow(write(places)), wide(write(places), write(y))},
      params);
}

template <>
void Kernel<MaxPool2dBackward>::encode(Encoder& encoder, const MaxPool2dBackward& op) {
  static const ShaderByDType shaders("max_pool2d_backward");
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value places = encoder.contiguous(encoder.in(1));
  const Value& dx = encoder.out(0);
  const Shader* shader = shaders[dy->dtype()];
  if (!shader) encoder.refuse(dy->dtype());
  const Params params = params_of(op, dx->shape(), dy->shape(), dx->meta().elements());
  if (params.n == 0) return;
  launch(
      encoder,
      *shader,
      op,
      places,
      {read(dy), narrow(read(places)), wide(read(places), read(dy)), write(dx)},
      params);
}

template <>
void Kernel<MaxPool2dTake>::encode(Encoder& encoder, const MaxPool2dTake& op) {
  static const ShaderByDType shaders("max_pool2d_take");
  const Value x = encoder.contiguous(encoder.in(0));
  const Value places = encoder.contiguous(encoder.in(1));
  const Value& y = encoder.out(0);
  const Shader* shader = shaders[x->dtype()];
  if (!shader) encoder.refuse(x->dtype());
  const Params params = params_of(op, x->shape(), y->shape(), y->meta().elements());
  if (params.n == 0) return;
  launch(
      encoder,
      *shader,
      op,
      places,
      {read(x), narrow(read(places)), wide(read(places), read(x)), write(y)},
      params);
}

}  // namespace troupe::vulkan
