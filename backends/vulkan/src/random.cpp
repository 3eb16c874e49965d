#include "encoder.hpp"
#include "number.hpp"

#include <troupe/tensor/ops/dropout.hpp>
#include <troupe/tensor/ops/normal.hpp>
#include <troupe/tensor/ops/randint.hpp>
#include <troupe/tensor/ops/uniform.hpp>

namespace troupe::vulkan {
namespace {

/// What the shaders of random tensors are told: size, Philox's key and counter, two numbers more.
struct Params {
  std::uint32_t n;
  Number seed, call, first, second;
};

void draw(Encoder& encoder, const Shader& shader, Number first, Number second) {
  const Value& y = encoder.out(0);
  const RandomSource random = encoder.random();
  const Params params{
      static_cast<std::uint32_t>(y->meta().elements()),
      Number::of(random.seed),
      Number::of(random.call),
      first,
      second};
  if (params.n == 0) return;
  // A block of four words makes two numbers of 64 bits.
  const std::uint64_t per_block = size_of(y->dtype()) == 8 ? 2 : 4;
  encoder.dispatch(
      shader,
      {encoder.plain_group(), 0u, random.state ? 1u : 0u},
      {write(y), encoder.random_operand(random)},
      params,
      grid_for((params.n + per_block - 1) / per_block, encoder.plain_group()));
}

}  // namespace

template <>
void Kernel<Uniform>::encode(Encoder& encoder, const Uniform& op) {
  static const ShaderByDType shaders("uniform");
  draw(
      encoder,
      encoder.shader(shaders, op.dtype),
      Number::of(op.dtype, op.low),
      Number::of(op.dtype, op.high - op.low));
}

template <>
void Kernel<Normal>::encode(Encoder& encoder, const Normal& op) {
  static const ShaderByDType shaders("normal");
  draw(
      encoder,
      encoder.shader(shaders, op.dtype),
      Number::of(op.dtype, op.mean),
      Number::of(op.dtype, op.std));
}

template <>
void Kernel<Randint>::encode(Encoder& encoder, const Randint& op) {
  static const Shader* const shader = find_shader("randint", "");
  const auto low = static_cast<std::uint64_t>(op.low);
  draw(encoder, *shader, Number::of(low), Number::of(static_cast<std::uint64_t>(op.high) - low));
}

template <>
void Kernel<DropoutMask>::encode(Encoder& encoder, const DropoutMask& op) {
  static const Shader* const shader = find_shader("dropout_mask", "");
  draw(encoder, *shader, Number::of(op.threshold()), {});
}

}  // namespace troupe::vulkan
