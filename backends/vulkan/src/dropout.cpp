#include "encoder.hpp"
#include "number.hpp"

#include <troupe/tensor/ops/dropout.hpp>

namespace troupe::vulkan {
namespace {

Number scale_of(DType dtype, double p) { return Number::of(dtype, p < 1 ? 1 / (1 - p) : 0); }

}  // namespace

template <>
void Kernel<Dropout>::encode(Encoder& encoder, const Dropout& op) {
  static const ShaderByDType shaders("dropout");
  const Value x = encoder.contiguous(encoder.in(0));
  const Shader& shader = encoder.shader(shaders, x->dtype());
  // Elements are dropped whose 32 random bits, as a number, lie below p·2³².
  const auto threshold = static_cast<std::uint64_t>(op.p * 4294967296.0);
  const RandomSource random = encoder.random();
  struct {
    std::uint32_t n;
    Number seed, call;
    std::uint32_t threshold;
    Number scale;
  } const params{
      static_cast<std::uint32_t>(x->meta().elements()),
      Number::of(random.seed),
      Number::of(random.call),
      static_cast<std::uint32_t>(threshold),
      scale_of(x->dtype(), op.p)};
  if (params.n == 0) return;
  constexpr std::uint32_t per_block = 4;
  encoder.dispatch(
      shader,
      {encoder.plain_group(), threshold >> 32 ? 1u : 0u, random.state ? 1u : 0u},
      {read(x), write(encoder.out(0)), write(encoder.out(1)), encoder.random_operand(random)},
      params,
      grid_for((std::uint64_t{params.n} + per_block - 1) / per_block, encoder.plain_group()));
}

template <>
void Kernel<DropoutBackward>::encode(Encoder& encoder, const DropoutBackward& op) {
  static const ShaderByDType shaders("dropout_backward");
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value mask = encoder.contiguous(encoder.in(1));
  const Shader& shader = encoder.shader(shaders, dy->dtype());
  struct {
    std::uint32_t n;
    Number scale;
  } const params{static_cast<std::uint32_t>(dy->meta().elements()), scale_of(dy->dtype(), op.p)};
  if (params.n == 0) return;
  encoder.dispatch(
      shader,
      {encoder.plain_group()},
      {read(dy), read(mask), write(encoder.out(0))},
      params,
      grid_for(params.n, encoder.plain_group()));
}

}  // namespace troupe::vulkan
