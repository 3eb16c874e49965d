#include "lines.hpp"

#include <troupe/tensor/ops/log_softmax.hpp>
#include <troupe/tensor/ops/softmax.hpp>

namespace troupe::vulkan {

namespace {

void encode_lines(Encoder& encoder, const ShaderByDType& shaders, std::int64_t dim) {
  const Value a = encoder.contiguous(encoder.in(0));
  const Shader& shader = encoder.shader(shaders, a->dtype());
  if (a->meta().elements() == 0) return;
  const Lines lines = Lines::of(encoder, Axis::of(a->shape(), dim));
  if (encoder.inputs() == 1) {
    encoder.dispatch(
        shader,
        {lines.group, lines.alone, encoder.software()},
        {read(a), write(encoder.out(0))},
        lines.params,
        lines.grid);
    return;
  }
  const Value b = encoder.contiguous(encoder.in(1));
  encoder.dispatch(
      shader,
      {lines.group, lines.alone},
      {read(a), read(b), write(encoder.out(0))},
      lines.params,
      lines.grid);
}

}  // namespace

template <>
void Kernel<Softmax>::encode(Encoder& encoder, const Softmax& op) {
  static const ShaderByDType shaders("softmax");
  encode_lines(encoder, shaders, op.dim);
}

template <>
void Kernel<SoftmaxBackward>::encode(Encoder& encoder, const SoftmaxBackward& op) {
  static const ShaderByDType shaders("softmax_backward");
  encode_lines(encoder, shaders, op.dim);
}

template <>
void Kernel<LogSoftmax>::encode(Encoder& encoder, const LogSoftmax& op) {
  static const ShaderByDType shaders("log_softmax");
  encode_lines(encoder, shaders, op.dim);
}

template <>
void Kernel<LogSoftmaxBackward>::encode(Encoder& encoder, const LogSoftmaxBackward& op) {
  static const ShaderByDType shaders("log_softmax_backward");
  encode_lines(encoder, shaders, op.dim);
}

}  // namespace troupe::vulkan
