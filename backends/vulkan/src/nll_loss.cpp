#include "axis.hpp"
#include "loss_total.hpp"

#include <troupe/tensor/ops/nll_loss.hpp>

namespace troupe::vulkan {

namespace {

struct Params {
  std::uint32_t op;
  std::uint32_t ignored_low;
  std::uint32_t ignored_high;
  std::uint32_t classes;
  std::uint32_t inner;
  std::uint32_t count;  ///< of samples, or of elements

  Params(const Encoder& encoder, const Axis& axis, std::int64_t ignore_index, std::uint32_t count)
      : op(encoder.fault_code()),
        ignored_low(static_cast<std::uint32_t>(ignore_index)),
        ignored_high(static_cast<std::uint32_t>(ignore_index >> 32)),
        classes(axis.length),
        inner(axis.inner),
        count(count) {}
};

}  // namespace

template <>
void Kernel<NllLoss>::encode(Encoder& encoder, const NllLoss& op) {
  static const ShaderByDType shaders("nll_loss");
  const DType dtype = encoder.in(0)->dtype();
  const Shader& shader = encoder.shader(shaders, dtype);
  const Value x = encoder.contiguous(encoder.in(0));
  const Value target = encoder.contiguous(encoder.in(1));
  const bool weighted = encoder.inputs() > 2;
  const Value weight = weighted ? encoder.contiguous(encoder.in(2)) : x;
  const Axis axis =
      Axis::of(x->shape(), static_cast<std::int64_t>(NllLoss::class_axis(x->shape())));
  const Value weights = encoder.scratch(dtype, target->shape());
  const Value losses =
      op.reduction == Reduction::none ? encoder.out(0) : encoder.scratch(dtype, target->shape());
  const std::uint32_t group = encoder.plain_group();
  if (axis.lines() > 0)
    encoder.dispatch(
        shader,
        {group, target->dtype() == DType::int32, weighted},
        {read(x), read(target, 4), read(weight), write(losses), write(weights), encoder.fault()},
        Params(encoder, axis, op.ignore_index, axis.lines()),
        grid_for(axis.lines(), group));
  LossTotal{op.reduction, losses, encoder.out(0), weights, encoder.out(1)}.encode(encoder);
}

template <>
void Kernel<NllLossBackward>::encode(Encoder& encoder, const NllLossBackward& op) {
  static const ShaderByDType shaders("nll_loss_backward");
  const DType dtype = encoder.in(0)->dtype();
  const Shader& shader = encoder.shader(shaders, dtype);
  const Value& dx = encoder.out(0);
  const auto elements = static_cast<std::uint32_t>(dx->meta().elements());
  if (elements == 0) return;
  const Value dloss = encoder.contiguous(encoder.in(0));
  const Value target = encoder.contiguous(encoder.in(1));
  const Value divisor = encoder.contiguous(encoder.in(2));
  const bool weighted = encoder.inputs() > 3;
  const Value weight = weighted ? encoder.contiguous(encoder.in(3)) : dloss;
  const Axis axis =
      Axis::of(dx->shape(), static_cast<std::int64_t>(NllLoss::class_axis(dx->shape())));
  const std::uint32_t group = encoder.plain_group();
  encoder.dispatch(
      shader,
      {group, target->dtype() == DType::int32, weighted, static_cast<std::uint32_t>(op.reduction)},
      {read(dloss), read(target, 4), read(divisor), read(weight), write(dx), encoder.fault()},
      Params(encoder, axis, op.ignore_index, elements),
      grid_for(elements, group));
}

}  // namespace troupe::vulkan
