#include "encoder.hpp"
#include "number.hpp"

#include <troupe/tensor/ops/sgd_update.hpp>

namespace troupe::vulkan {

template <>
void Kernel<SgdUpdate>::encode(Encoder& encoder, const SgdUpdate& op) {
  static const ShaderByDType shaders("sgd_update");
  const std::size_t states = op.momentum != 0 ? 1 : 0;
  const Value w = encoder.contiguous(encoder.in(0));
  const Value buf = states ? encoder.contiguous(encoder.in(1)) : w;
  const Value g = encoder.contiguous(encoder.in(1 + states));
  const Value scalars = encoder.contiguous(encoder.in(2 + states));
  const DType dtype = w->dtype();
  const Shader& shader = encoder.shader(shaders, dtype);
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
  encoder.dispatch(
      shader,
      {spread.group,
       static_cast<std::uint32_t>(states),
       op.nesterov ? 1u : 0u,
       op.maximize ? 1u : 0u,
       op.weight_decay != 0 ? 1u : 0u,
       spread.turns},
      {read(w),
       read(buf),
       read(g),
       read(scalars, 8),
       write(encoder.out(0)),
       write(encoder.out(states))},
      params,
      spread.grid,
      spread.groups);
}

}  // namespace troupe::vulkan
