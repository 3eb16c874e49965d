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
    const Dims& axes,
    bool other,
    std::uint32_t part_unit) {
  const DType dtype = encoder.in(0)->dtype();
  const Shader& shader = encoder.shader(shaders, dtype);
  if (encoder.out(0)->meta().elements() == 0) return;
  const FoldInput input(encoder, encoder.in(0), axes);
  FoldEncoder(encoder, input.shape)
      .run(shader, {other ? 1U : 0U, 0}, part_unit, 1, [&](const Operand& parts) {
        return std::array{read(input.x), parts, write(encoder.out(0))};
      });
}

void encode_extreme(Encoder& encoder, const Dims& axes, bool least) {
  static const ShaderByDType shaders("amax");
  encode_choice(encoder, shaders, axes, least, size_of(encoder.in(0)->dtype()) == 8 ? 8 : 4);
}

void encode_truth(Encoder& encoder, const Dims& axes, bool all) {
  static const ShaderByDType shaders("any");
  encode_choice(encoder, shaders, axes, all, 4);
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
