#include "sum_fold.hpp"

#include <troupe/tensor/ops/argmax.hpp>
#include <troupe/tensor/ops/argmin.hpp>
#include <troupe/tensor/ops/max.hpp>
#include <troupe/tensor/ops/min.hpp>
#include <troupe/tensor/ops/std.hpp>
#include <troupe/tensor/ops/var.hpp>

namespace troupe::vulkan {

namespace {

/// `values`: the first output has the elements, the second their places; else only places are
/// wanted.
void encode_choice(Encoder& encoder, const Dims& axes, bool least, bool values) {
  static const ShaderByDType shaders("argmax");
  const DType dtype = encoder.in(0)->dtype();
  const Shader& shader = encoder.shader(shaders, dtype);
  if (encoder.out(0)->meta().elements() == 0) return;
  const FoldInput input(encoder, encoder.in(0), axes);
  FoldEncoder(encoder, input.shape)
      .run(shader, {least ? 1U : 0U, values ? 1U : 0U}, 16, 1, [&](const Operand& parts) {
        return std::array{
            read(input.x),
            parts,
            values ? write(encoder.out(0)) : read(encoder.out(0)),
            write(encoder.out(values ? 1 : 0), 4)};
      });
}

/// Mean first, then the squares around it: the textbook's one pass cancels.
void encode_variance(Encoder& encoder, const Dims& axes, double correction, bool root) {
  if (encoder.out(0)->meta().elements() == 0) return;
  const FoldInput input(encoder, encoder.in(0), axes);
  const double count = input.shape.folded();
  const double rest = count - correction;
  const Value means = wide_scratch(encoder, input.shape.kept());
  encode_sum(encoder, input, count, {}, SumResult::wide, means);
  encode_sum(
      encoder,
      input,
      rest > 0 ? rest : 0,
      means,
      root ? SumResult::root : SumResult::number,
      encoder.out(0));
}

}  // namespace

template <>
void Kernel<Argmax>::encode(Encoder& encoder, const Argmax& op) {
  encode_choice(encoder, op.axes, false, false);
}

template <>
void Kernel<Argmin>::encode(Encoder& encoder, const Argmin& op) {
  encode_choice(encoder, op.axes, true, false);
}

template <>
void Kernel<Max>::encode(Encoder& encoder, const Max& op) {
  encode_choice(encoder, op.axes, false, true);
}

template <>
void Kernel<Min>::encode(Encoder& encoder, const Min& op) {
  encode_choice(encoder, op.axes, true, true);
}

template <>
void Kernel<Var>::encode(Encoder& encoder, const Var& op) {
  encode_variance(encoder, op.axes, op.correction, false);
}

template <>
void Kernel<Std>::encode(Encoder& encoder, const Std& op) {
  encode_variance(encoder, op.axes, op.correction, true);
}

}  // namespace troupe::vulkan
