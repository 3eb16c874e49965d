#include "lines.hpp"
#include "number.hpp"
#include "sum_fold.hpp"

#include <troupe/tensor/ops/layer_norm.hpp>

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

}  // namespace

template <>
void Kernel<LayerNorm>::encode(Encoder& encoder, const LayerNorm& op) {
  static const ShaderByDType shaders("layer_norm");
  const Value x = encoder.contiguous(encoder.in(0));
  const Shader& shader = encoder.shader(shaders, x->dtype());
  if (x->meta().elements() == 0) return;
  const bool weighted = encoder.inputs() > 1;
  const bool biased = encoder.inputs() > 2;
  const Value weight = weighted ? encoder.contiguous(encoder.in(1)) : x;
  const Value bias = biased ? encoder.contiguous(encoder.in(2)) : x;
  const Lines lines =
      Lines::held(encoder, rows_of(x->shape(), op.dims), {&x, &weight, &bias, &encoder.out(0)});
  struct {
    LineParams line;
    Number eps;
  } const params{lines.params, Number::of(x->dtype(), op.eps)};
  encoder.dispatch(
      shader,
      {lines.group, lines.way, weighted, biased},
      {read(x),
       read(weight),
       read(bias),
       write(encoder.out(0)),
       write(encoder.out(1)),
       write(encoder.out(2)),
       lines.read(x),
       lines.read(weight),
       lines.read(bias),
       lines.write(encoder.out(0))},
      params,
      lines.grid);
}

template <>
void Kernel<LayerNormBackward>::encode(Encoder& encoder, const LayerNormBackward& op) {
  static const ShaderByDType shaders("layer_norm_backward");
  static const ShaderByDType weight_shaders("layer_norm_weight");
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value x = encoder.contiguous(encoder.in(1));
  const Value means = encoder.contiguous(encoder.in(2));
  const Value rstds = encoder.contiguous(encoder.in(3));
  const Shader& shader = encoder.shader(shaders, x->dtype());
  const bool weighted = encoder.inputs() > 4;
  const Axis rows = rows_of(x->shape(), op.dims);
  if (rows.outer > 0) {
    const Value weight = weighted ? encoder.contiguous(encoder.in(4)) : x;
    const Lines lines = Lines::held(encoder, rows, {&dy, &x, &weight, &encoder.out(0)});
    encoder.dispatch(
        shader,
        {lines.group, lines.way, weighted},
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
      .run(*weight_shaders[x->dtype()], {}, wide_bytes, 2, [&](const Operand& parts) {
        return std::array{
            read(dy),
            read(x),
            read(means),
            read(rstds),
            parts,
            write(encoder.out(1)),
            write(encoder.out(2))};
      });
}

}  // namespace troupe::vulkan
