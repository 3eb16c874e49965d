#include "lines.hpp"
#include "number.hpp"
#include "sum_fold.hpp"

#include <troupe/tensor/ops/layer_norm.hpp>
#include <troupe/tensor/ops/rms_norm.hpp>

namespace troupe::vulkan {

namespace {

/// The rows of x as lines of what its last `dims` dimensions hold.
Axis rows_of(const Shape& x, std::int64_t dims) {
  Axis axis;
  const auto rows_rank = static_cast<std::int64_t>(x.size()) - dims;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(x.size()); ++i)
    (i < rows_rank ? axis.outer : axis.length) *=
        static_cast<std::uint32_t>(x[static_cast<std::size_t>(i)]);
  return axis;
}

/// Both kinds of norm; that by the root mean square has neither means nor bias.
void encode_forward(Encoder& encoder, std::int64_t dims, double eps, bool centered) {
  static const ShaderByDType shaders("layer_norm");
  const Value x = encoder.contiguous(encoder.in(0));
  const Shader& shader = encoder.shader(shaders, x->dtype());
  if (x->meta().elements() == 0) return;
  const bool weighted = encoder.inputs() > 1;
  const bool biased = encoder.inputs() > 2;
  const Value weight = weighted ? encoder.contiguous(encoder.in(1)) : x;
  const Value bias = biased ? encoder.contiguous(encoder.in(2)) : x;
  const Lines lines =
      Lines::held(encoder, rows_of(x->shape(), dims), {&x, &weight, &bias, &encoder.out(0)});
  struct {
    LineParams line;
    Number eps;
  } const params{lines.params, Number::of(x->dtype(), eps)};
  encoder.dispatch(
      shader,
      {lines.group, lines.way, weighted, biased, centered},
      {read(x),
       read(weight),
       read(bias),
       write(encoder.out(0)),
       centered ? write(encoder.out(1)) : encoder.unused(),
       write(encoder.out(centered ? 2 : 1)),
       lines.read(x),
       lines.read(weight),
       lines.read(bias),
       lines.write(encoder.out(0))},
      params,
      lines.grid);
}

void encode_backward(Encoder& encoder, std::int64_t dims, bool centered) {
  static const ShaderByDType shaders("layer_norm_backward");
  static const ShaderByDType weight_shaders("layer_norm_weight");
  const std::size_t rstd_input = centered ? 3 : 2;
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value x = encoder.contiguous(encoder.in(1));
  const Value rstds = encoder.contiguous(encoder.in(rstd_input));
  const Value means = centered ? encoder.contiguous(encoder.in(2)) : rstds;
  const Shader& shader = encoder.shader(shaders, x->dtype());
  const bool weighted = encoder.inputs() > rstd_input + 1;
  const Axis rows = rows_of(x->shape(), dims);
  if (rows.outer > 0) {
    const Value weight = weighted ? encoder.contiguous(encoder.in(rstd_input + 1)) : x;
    const Lines lines = Lines::held(encoder, rows, {&dy, &x, &weight, &encoder.out(0)});
    encoder.dispatch(
        shader,
        {lines.group, lines.way, weighted, centered},
        {read(dy),
         read(x),
         read(means),
         read(rstds),
         read(weight),
         write(encoder.out(0)),
         lines.read(dy),
         lines.read(x),
         lines.read(weight),
         lines.write(encoder.out(0))},
        lines.params,
        lines.grid);
  }
  if (!weighted) return;
  FoldShape columns;
  columns.second = rows.outer;
  columns.inner = rows.length;
  FoldEncoder(encoder, columns)
      .run(*weight_shaders[x->dtype()], {centered, 0}, wide_bytes, 2, [&](const Operand& parts) {
        return std::array{
            read(dy),
            read(x),
            read(means),
            read(rstds),
            parts,
            write(encoder.out(1)),
            centered ? write(encoder.out(2)) : encoder.unused()};
      });
}

}  // namespace

template <>
void Kernel<LayerNorm>::encode(Encoder& encoder, const LayerNorm& op) {
  encode_forward(encoder, op.dims, op.eps, true);
}

template <>
void Kernel<LayerNormBackward>::encode(Encoder& encoder, const LayerNormBackward& op) {
  encode_backward(encoder, op.dims, true);
}

template <>
void Kernel<RmsNorm>::encode(Encoder& encoder, const RmsNorm& op) {
  encode_forward(encoder, op.dims, op.eps, false);
}

template <>
void Kernel<RmsNormBackward>::encode(Encoder& encoder, const RmsNormBackward& op) {
  encode_backward(encoder, op.dims, false);
}

}  // namespace troupe::vulkan
