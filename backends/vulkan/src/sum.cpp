#include "chain.hpp"
#include "sum_fold.hpp"

#include <troupe/tensor/ops/mean.hpp>
#include <troupe/tensor/ops/prod.hpp>
#include <troupe/tensor/ops/sum.hpp>

namespace troupe::vulkan {

Value wide_scratch(Encoder& encoder, std::int64_t count) {
  return encoder.scratch(DType::uint8, {count, wide_bytes});
}

void encode_sum(
    Encoder& encoder,
    const FoldInput& input,
    double divisor,
    const Value& means,
    SumResult result,
    const Value& y) {
  static const ShaderByDType shaders("sum");
  const DType dtype = input.dtype;
  const ChainShader elements(encoder, encoder.shader(shaders, dtype), input);
  // Centred squares read the means, and a wide result is one: never both.
  const Operand at_means = means                       ? encoder.unwritten(means, wide_bytes)
                           : result == SumResult::wide ? write(y, wide_bytes)
                                                       : encoder.unused();
  const Operand at_y = result == SumResult::wide ? encoder.unused() : write(y);
  FoldEncoder(encoder, input.shape)
      .factor(Number::of(dtype, dtype == DType::float64 ? divisor : 1 / divisor))
      .split(elements.split())
      .run(
          elements.shader(),
          {means ? 1U : 0U, static_cast<std::uint32_t>(result)},
          wide_bytes,
          1,
          [&](const Operand& parts) {
            return elements.operands({parts, at_means, at_y});
          });
}

template <>
void Kernel<Sum>::encode(Encoder& encoder, const Sum& op) {
  if (encoder.out(0)->meta().elements() == 0) return;
  const FoldInput input(encoder, op.axes);
  encode_sum(encoder, input, 1, {}, SumResult::number, encoder.out(0));
}

template <>
void Kernel<Mean>::encode(Encoder& encoder, const Mean& op) {
  if (encoder.out(0)->meta().elements() == 0) return;
  const FoldInput input(encoder, op.axes);
  encode_sum(encoder, input, input.shape.folded(), {}, SumResult::number, encoder.out(0));
}

template <>
void Kernel<Prod>::encode(Encoder& encoder, const Prod& op) {
  static const ShaderByDType shaders("prod");
  if (encoder.out(0)->meta().elements() == 0) return;
  const FoldInput input(encoder, op.axes);
  const DType dtype = input.dtype;
  const ChainShader elements(encoder, encoder.shader(shaders, dtype), input);
  FoldEncoder(encoder, input.shape)
      .split(elements.split())
      .run(
          elements.shader(),
          {},
          wide_bytes,
          dtype == DType::float32 ? 2 : 1,
          [&](const Operand& parts) {
            return elements.operands({parts, write(encoder.out(0))});
          });
}

}  // namespace troupe::vulkan
