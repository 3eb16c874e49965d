#include "encoder.hpp"
#include "number.hpp"
#include "prologue.hpp"

#include <troupe/tensor/ops/sgd_update.hpp>

namespace troupe::vulkan {

template <>
void Kernel<SgdUpdate>::encode(Encoder& encoder, const SgdUpdate& op) {
  static const ShaderByDType shaders("sgd_update");
  const std::size_t states = op.momentum != 0 ? 1 : 0;
  const Value w = encoder.contiguous(encoder.in(0));
  const Value buf = states ? encoder.contiguous(encoder.in(1)) : w;
  const GradientInput gradient(encoder, shaders);
  const Value scalars = encoder.contiguous(encoder.in(encoder.inputs() - 1));
  const DType dtype = w->dtype();
  struct {
    std::uint32_t n;
    Number decay, momentum, fresh;
  } const params{
      static_cast<std::uint32_t>(w->meta().elements()),
      Number::of(dtype, op.weight_decay),
      Number::of(dtype, op.momentum),
      Number::of(dtype, 1 - op.dampening)};
  if (params.n == 0) return;
  const Spread spread = encoder.spread(params.n, 4);
  const std::uint32_t constants[] = {
      spread.group,
      static_cast<std::uint32_t>(states),
      op.nesterov ? 1u : 0u,
      op.maximize ? 1u : 0u,
      op.weight_decay != 0 ? 1u : 0u,
      spread.turns};
  const OperandList operands = gradient.with(
      {read(w),
       read(buf),
       gradient.operand(),
       read(scalars, 8),
       write(encoder.out(0)),
       write(encoder.out(states))});
  encoder.dispatch(
      gradient.shader(),
      constants,
      operands,
      std::as_bytes(std::span(&params, 1)),
      spread.grid,
      spread.groups);
}

}  // namespace troupe::vulkan
