#include "number.hpp"
#include "sum_fold.hpp"

#include <troupe/tensor/ops/batch_norm.hpp>

namespace troupe::vulkan {

namespace {

/// The parameters of the kernels that go element by element.
struct Params {
  std::uint32_t elements;
  std::uint32_t channels;
  std::uint32_t inner = 1;
  Number number;  ///< eps, or the elements of a channel

  explicit Params(const Value& x)
      : elements(static_cast<std::uint32_t>(x->meta().elements())),
        channels(static_cast<std::uint32_t>(x->shape()[1])) {
    for (std::size_t i = 2; i < x->shape().size(); ++i)
      inner *= static_cast<std::uint32_t>(x->shape()[i]);
  }
  [[nodiscard]] double size() const noexcept {
    return static_cast<double>(elements) / static_cast<double>(channels);
  }
};

}  // namespace

template <>
void Kernel<BatchNormTrain>::encode(Encoder& encoder, const BatchNormTrain& op) {
  static const ShaderByDType shaders("batch_norm");
  static const ShaderByDType statistics_shaders("batch_norm_statistics");
  const DType dtype = encoder.in(0)->dtype();
  const Shader& shader = encoder.shader(shaders, dtype);
  const FoldInput input(encoder, encoder.in(0), BatchNormRule::axes_of(encoder.in(0)->shape()));
  const Value& x = input.x;
  const Params params(x);
  if (params.elements == 0) return;

  const Value means = wide_scratch(encoder, params.channels);
  const Value squares = encoder.scratch(dtype, {std::int64_t{params.channels}});
  encode_sum(encoder, input, params.size(), {}, SumResult::wide, means);
  encode_sum(encoder, input, 1, means, SumResult::number, squares);

  const std::uint32_t group = encoder.plain_group();
  const Value& statistics = encoder.out(1);
  const std::size_t running_at = op.affine ? 3 : 1;
  const Value old_mean = op.tracked ? encoder.contiguous(encoder.in(running_at)) : x;
  const Value old_variance = op.tracked ? encoder.contiguous(encoder.in(running_at + 1)) : x;
  const struct {
    std::uint32_t channels;
    Number size, eps, momentum, kept;
  } channel_params{
      params.channels,
      Number::of(dtype, params.size()),
      Number::of(dtype, op.eps),
      Number::of(dtype, op.momentum),
      Number::of(dtype, 1 - op.momentum)};
  encoder.dispatch(
      *statistics_shaders[dtype],
      {group, op.tracked},
      {read(means, wide_bytes),
       read(squares),
       read(old_mean),
       read(old_variance),
       write(statistics),
       op.tracked ? write(encoder.out(2)) : encoder.unused(),
       op.tracked ? write(encoder.out(3)) : encoder.unused()},
      channel_params,
      grid_for(params.channels, group));

  const Value weight = op.affine ? encoder.contiguous(encoder.in(1)) : x;
  const Value bias = op.affine ? encoder.contiguous(encoder.in(2)) : x;
  encoder.dispatch(
      shader,
      {group, 0U, op.affine, op.affine},
      {read(x),
       read(statistics),
       read(statistics),
       read(weight),
       read(bias),
       write(encoder.out(0))},
      params,
      grid_for(params.elements, group));
}

template <>
void Kernel<BatchNormBackward>::encode(Encoder& encoder, const BatchNormBackward&) {
  static const ShaderByDType shaders("batch_norm_backward");
  static const ShaderByDType sums_shaders("batch_norm_sums");
  const Value dy = encoder.contiguous(encoder.in(0));
  const Value x = encoder.contiguous(encoder.in(1));
  const Value statistics = encoder.contiguous(encoder.in(2));
  const DType dtype = x->dtype();
  const Shader& shader = encoder.shader(shaders, dtype);
  Params params(x);
  if (params.channels == 0) return;
  const bool weighted = encoder.inputs() > 3;
  const Value weight = weighted ? encoder.contiguous(encoder.in(3)) : x;
  const Shape channels{static_cast<std::int64_t>(params.channels)};
  const Value sum_dyx = weighted ? encoder.out(1) : encoder.scratch(dtype, channels);
  const Value sum_dy = weighted ? encoder.out(2) : encoder.scratch(dtype, channels);
  FoldEncoder(encoder, FoldShape::of(x->shape(), BatchNormRule::axes_of(x->shape())))
      .run(*sums_shaders[dtype], {}, wide_bytes, 2, [&](const Operand& parts) {
        return std::array{
            read(dy), read(x), read(statistics), parts, write(sum_dyx), write(sum_dy)};
      });
  if (params.elements == 0) return;
  params.number = Number::of(dtype, params.size());
  const std::uint32_t group = encoder.plain_group();
  encoder.dispatch(
      shader,
      {group, weighted},
      {read(dy),
       read(x),
       read(statistics),
       read(weight),
       read(sum_dyx),
       read(sum_dy),
       write(encoder.out(0))},
      params,
      grid_for(params.elements, group));
}

template <>
void Kernel<BatchNormEval>::encode(Encoder& encoder, const BatchNormEval& op) {
  static const ShaderByDType shaders("batch_norm");
  const Value x = encoder.contiguous(encoder.in(0));
  const Shader& shader = encoder.shader(shaders, x->dtype());
  if (x->meta().elements() == 0) return;
  const bool weighted = encoder.inputs() > 3;
  const bool biased = encoder.inputs() > 4;
  const Value means = encoder.contiguous(encoder.in(1));
  const Value variances = encoder.contiguous(encoder.in(2));
  const Value weight = weighted ? encoder.contiguous(encoder.in(3)) : x;
  const Value bias = biased ? encoder.contiguous(encoder.in(4)) : x;
  Params params(x);
  params.number = Number::of(x->dtype(), op.eps);
  const std::uint32_t group = encoder.plain_group();
  encoder.dispatch(
      shader,
      {group, 1U, weighted, biased},
      {read(x), read(means), read(variances), read(weight), read(bias), write(encoder.out(0))},
      params,
      grid_for(params.elements, group));
}

}  // namespace troupe::vulkan
