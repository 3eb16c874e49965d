#include "chain.hpp"
#include "fold.hpp"

#include <troupe/tensor/ops/all.hpp>
#include <troupe/tensor/ops/amax.hpp>
#include <troupe/tensor/ops/amin.hpp>
#include <troupe/tensor/ops/any.hpp>

namespace troupe::vulkan {

namespace {

/// `other`: the other way round, that is the least or all.
void encode_choice(
    Encoder& encoder,
    const ShaderByDType& shaders,
    const FoldInput& input,
    bool other,
    std::uint32_t part_unit) {
  const ChainShader elements(encoder, encoder.shader(shaders, input.dtype), input);
  FoldEncoder(encoder, input.shape)
      .split(elements.split())
      .run(elements.shader(), {other ? 1U : 0U, 0}, part_unit, 1, [&](const Operand& parts) {
        return elements.operands({parts, write(encoder.out(0))});
      });
}

void encode_extreme(Encoder& encoder, const Dims& axes, bool least) {
  static const ShaderByDType shaders("amax");
  if (encoder.out(0)->meta().elements() == 0) return;
  const FoldInput input(encoder, axes);
  encode_choice(encoder, shaders, input, least, size_of(input.dtype) == 8 ? 8 : 4);
}

void encode_truth(Encoder& encoder, const Dims& axes, bool all) {
  static const ShaderByDType shaders("any");
  if (encoder.out(0)->meta().elements() == 0) return;
  encode_choice(encoder, shaders, FoldInput(encoder, axes), all, 4);
}

}  // namespace

template <>
void Kernel<Amax>::encode(Encoder& encoder, const Amax& op) {
  encode_extreme(encoder, op.axes, false);
}

template <>
void Kernel<Amin>::encode(Encoder& encoder, const Amin& op) {
  encode_extreme(encoder, op.axes, true);
}

template <>
void Kernel<All>::encode(Encoder& encoder, const All& op) {
  encode_truth(encoder, op.axes, true);
}

template <>
void Kernel<Any>::encode(Encoder& encoder, const Any& op) {
  encode_truth(encoder, op.axes, false);
}

}  // namespace troupe::vulkan
