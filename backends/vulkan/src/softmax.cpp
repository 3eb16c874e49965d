#include "lines.hpp"

#include <troupe/tensor/ops/log_softmax.hpp>
#include <troupe/tensor/ops/softmax.hpp>

namespace troupe::vulkan {

namespace {

/// A kernel that reads its inputs along lines and writes one output.
/// @param held  whether it has a way to hold lines in registers, with a second binding of each
void encode_lines(Encoder& encoder, const ShaderByDType& shaders, std::int64_t dim, bool held) {
  const Value a = encoder.contiguous(encoder.in(0));
  const Shader& shader = encoder.shader(shaders, a->dtype());
  if (a->meta().elements() == 0) return;
  const bool two = encoder.inputs() > 1;
  const Value b = two ? encoder.contiguous(encoder.in(1)) : a;
  const Value& y = encoder.out(0);
  const Axis axis = Axis::of(a->shape(), dim);
  const Lines lines = held ? Lines::held(encoder, axis, {&a, &b, &y}) : Lines::of(encoder, axis);
  Operand operands[6];
  std::size_t count = 0;
  operands[count++] = read(a);
  if (two) operands[count++] = read(b);
  operands[count++] = write(y);
  if (held) {
    operands[count++] = lines.read(a);
    if (two) operands[count++] = lines.read(b);
    operands[count++] = lines.write(y);
  }
  // The last says something to softmax.comp alone.
  const std::uint32_t constants[] = {lines.group, lines.way, encoder.software()};
  encoder.dispatch(
      shader,
      constants,
      {operands, count},
      std::as_bytes(std::span<const LineParams, 1>(&lines.params, 1)),
      lines.grid);
}

}  // namespace

template <>
void Kernel<Softmax>::encode(Encoder& encoder, const Softmax& op) {
  static const ShaderByDType shaders("softmax");
  encode_lines(encoder, shaders, op.dim, true);
}

template <>
void Kernel<SoftmaxBackward>::encode(Encoder& encoder, const SoftmaxBackward& op) {
  static const ShaderByDType shaders("softmax_backward");
  encode_lines(encoder, shaders, op.dim, true);
}

template <>
void Kernel<LogSoftmax>::encode(Encoder& encoder, const LogSoftmax& op) {
  static const ShaderByDType shaders("log_softmax");
  encode_lines(encoder, shaders, op.dim, false);
}

template <>
void Kernel<LogSoftmaxBackward>::encode(Encoder& encoder, const LogSoftmaxBackward& op) {
  static const ShaderByDType shaders("log_softmax_backward");
  encode_lines(encoder, shaders, op.dim, false);
}

}  // namespace troupe::vulkan
