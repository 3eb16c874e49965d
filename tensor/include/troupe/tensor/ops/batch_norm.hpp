#pragma once

#include <troupe/core/error.hpp>
#include <troupe/tensor/op.hpp>
#include <troupe/tensor/ops/normalization.hpp>
#include <troupe/tensor/shape_rules.hpp>

namespace troupe {

/// What the three ops of batch normalization share: shapes, and the axes that a channel's elements
/// span.
struct BatchNormRule : OpDefaults {
  static std::int64_t channels_of(const Meta& x) {
    require_floating(x, "input");
    require_rank_at_least(x, 2, "input", "[N, C, ...]");
    return x.shape[1];
  }
  /// All but the channels'.
  static Dims axes_of(const Shape& x) {
    Dims axes;
    for (std::size_t i = 0; i < x.size(); ++i)
      if (i != 1) axes.push_back(static_cast<std::int64_t>(i));
    return axes;
  }
  /// The shape in which a vector of channels broadcasts against x.
  static Shape beside(const Shape& x) {
    Shape shape = Dims::filled(x.size(), 1);
    shape[1] = x[1];
    return shape;
  }
};

/// y = (x − mean) / √(variance + eps) · weight + bias, with the mean and variance of each channel
/// over the whole batch, and the running statistics moved towards them.
///
/// Shape    x [N, C, ...]; weight and bias [C] if `affine`; running mean and variance [C] if
///          `tracked` → y as x; statistics [2, C]: means, then 1 / √(variance + eps); the new
///          running mean and variance if `tracked`.
/// Dtype    float32 or float64, all the same.
/// Saves    x, weight, and the statistics.
/// Errors   `shape_mismatch`, also for a channel of a single element, which has no variance;
///          `dtype_mismatch`.
/// Source   Ioffe and Szegedy 2015; torch.nn.functional.batch_norm: the batch's variance divides by
///          n, the running one by n − 1; new = (1 − momentum) · old + momentum · batch.
struct BatchNormTrain : BatchNormRule {
  static constexpr OpId id{432};
  static constexpr std::string_view name = "batch_norm_train";
  static constexpr std::uint32_t saves_inputs = 0b00011;
  static constexpr std::uint32_t saves_outputs = 0b0010;

  bool affine = true;
  bool tracked = true;
  double momentum = 0.1;
  double eps = 1e-5;

  void infer(std::span<const Meta> in, Metas& out) const {
    const std::size_t expected = 1 + (affine ? 2 : 0) + (tracked ? 2 : 0);
    require_inputs(in, expected, expected);
    const std::int64_t channels = channels_of(in[0]);
    if (channels > 0 && in[0].elements() / channels < 2)
      throw Error(
          ErrorCode::shape_mismatch,
          "batch norm in training needs more than one value per channel, but the input is " +
              to_string(in[0].shape))
          .hint("use a larger batch, or drop the last incomplete one");
    std::size_t next = 1;
    for (const std::string_view input : {"weight", "bias", "running_mean", "running_var"}) {
      if (!affine && (input == "weight" || input == "bias")) continue;
      if (next == in.size()) break;
      require_shape(in[next], {channels}, input);
      require_same_dtype(in[next++], input, in[0], "input");
    }
    const Meta each{in[0].dtype, {channels}};
    out.push_back(in[0]);
    out.push_back({in[0].dtype, {2, channels}});
    if (tracked) {
      out.push_back(each);
      out.push_back(each);
    }
  }
  template <class V>
  Gradients vjp(const V& v) const;

  template <class V>
  void fields(V& visit) {
    visit.field("affine", affine);
    visit.field("tracked", tracked);
    visit.field("momentum", momentum);
    visit.field("eps", eps);
  }
  bool operator==(const BatchNormTrain&) const = default;
};

/// The gradients of batch norm in training: dx = rstd · (g − mean(g) − x̂ · mean(g · x̂)), g = dy ·
/// weight; with a weight also dweight = Σ dy · x̂ and dbias = Σ dy.
///
/// Shape    dy and x alike; statistics [2, C]; weight [C] or none → dx as x; dweight, dbias [C].
/// Dtype    float32 or float64, all the same.
/// Saves    all inputs.
/// Errors   as `BatchNormTrain`.
/// Source   differentiation by hand; its own derivative: `normalization_curvature`.
struct BatchNormBackward : BatchNormRule {
  static constexpr OpId id{433};
  static constexpr std::string_view name = "batch_norm_backward";
  static constexpr std::uint32_t saves_inputs = 0b1111;
  static constexpr std::uint32_t no_gradient = 0b0100;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 3, 4);
    require_all_floating(in, {"dy", "input", "statistics", "weight"});
    const std::int64_t channels = channels_of(in[1]);
    require_shape(in[0], in[1].shape, "dy");
    require_shape(in[2], {2, channels}, "statistics");
    out.push_back(in[1]);
    if (in.size() == 4) {
      require_shape(in[3], {channels}, "weight");
      out.push_back(in[3]);
      out.push_back(in[3]);
    }
  }
  template <class V>
  Gradients vjp(const V& v) const {
    using T = std::remove_cvref_t<decltype(v.grad(0))>;
    const Shape shape = beside(v.input_meta(1).shape);
    const Dims axes = axes_of(v.input_meta(1).shape);
    const bool weighted = v.input_count() == 4;
    const auto channels = [&](const T& each) { return each ? reshape(each, shape) : T(); };
    const auto result = normalization_curvature<T>(
        v.grad(0),
        weighted ? channels(v.grad(1)) : T(),
        weighted ? channels(v.grad(2)) : T(),
        v.input(0),
        v.input(1),
        channels(slice(v.input(2), 0, 0, 1)),
        channels(slice(v.input(2), 0, 1, 2)),
        weighted ? channels(v.input(3)) : T(),
        axes);
    Gradients gradients(v.input_count());
    gradients[0] = result.dy;
    gradients[1] = result.x;
    if (weighted && result.weight) gradients[3] = sum(result.weight, axes, false);
    return gradients;
  }
  bool operator==(const BatchNormBackward&) const = default;
};

template <class V>
Gradients BatchNormTrain::vjp(const V& v) const {
  Gradients gradients(v.input_count());
  if (!v.grad(0)) return gradients;
  const Operand inputs[] = {v.grad(0), v.input(0), v.output(1), affine ? v.input(1) : v.input(0)};
  std::remove_cvref_t<decltype(v.grad(0))> outputs[3];
  const std::size_t count = affine ? 3 : 1;
  apply(make_op(BatchNormBackward{}), {inputs, affine ? 4U : 3U}, {outputs, count});
  for (std::size_t i = 0; i < count; ++i) gradients[i] = outputs[i];
  return gradients;
}

/// y = (x − running mean) / √(running variance + eps) · weight + bias.
///
/// Shape    x [N, C, ...]; running mean and variance [C]; weight and bias [C] or none → y as x.
/// Dtype    float32 or float64, all the same.
/// Saves    x, the running statistics, weight.
/// Errors   `shape_mismatch`, `dtype_mismatch`.
/// Source   torch.nn.functional.batch_norm with training = false; the statistics are constants.
struct BatchNormEval : BatchNormRule {
  static constexpr OpId id{434};
  static constexpr std::string_view name = "batch_norm_eval";
  static constexpr std::uint32_t saves_inputs = 0b01111;
  static constexpr std::uint32_t no_gradient = 0b00110;

  double eps = 1e-5;

  void infer(std::span<const Meta> in, Metas& out) const {
    require_inputs(in, 3, 5);
    require_all_floating(in, {"input", "running_mean", "running_var", "weight", "bias"});
    const std::int64_t channels = channels_of(in[0]);
    require_shape(in[1], {channels}, "running_mean");
    require_shape(in[2], {channels}, "running_var");
    if (in.size() > 3) require_shape(in[3], {channels}, "weight");
    if (in.size() > 4) require_shape(in[4], {channels}, "bias");
    out.push_back(in[0]);
  }
  template <class V>
  Gradients vjp(const V& v) const {
    const Shape shape = beside(v.input_meta(0).shape);
    const Dims axes = axes_of(v.input_meta(0).shape);
    const auto rstd = rsqrt(reshape(v.input(2), shape) + eps);
    const bool weighted = v.input_count() > 3;
    Gradients gradients(v.input_count());
    if (v.needs(0)) gradients[0] = v.grad() * (weighted ? rstd * reshape(v.input(3), shape) : rstd);
    if (weighted && v.needs(3))
      gradients[3] = sum(v.grad() * (v.input(0) - reshape(v.input(1), shape)) * rstd, axes, false);
    if (v.input_count() > 4 && v.needs(4)) gradients[4] = sum(v.grad(), axes, false);
    return gradients;
  }
  template <class V>
  void fields(V& visit) {
    visit.field("eps", eps);
  }
  bool operator==(const BatchNormEval&) const = default;
};

/// What `batch_norm` gives: the running statistics are new values, for none is ever written to.
struct BatchNormResult {
  Tensor y;
  Tensor running_mean;
  Tensor running_var;
};

/// torch.nn.functional.batch_norm. Outside of training the running statistics must be there, and
/// come back as they are; undefined weight and bias, given or left out together, mean 1 and 0.
[[nodiscard]] inline BatchNormResult batch_norm(
    const Operand& input,
    const Tensor& running_mean,
    const Tensor& running_var,
    const Tensor& weight = {},
    const Tensor& bias = {},
    bool training = false,
    double momentum = 0.1,
    double eps = 1e-5) {
  const bool affine = weight.defined();
  const bool tracked = running_mean.defined();
  if (affine != bias.defined() || tracked != running_var.defined() || (!training && !tracked))
    throw Error(
        ErrorCode::invalid_argument,
        "batch norm takes weight and bias together, running mean and variance together, and the "
        "latter always outside of training")
        .op("batch_norm")
        .hint("give both of a pair, or neither; training = true uses the batch's own statistics")
        .at(input.where().file, input.where().line);
  const auto at_call = [&](const Tensor& tensor) { return Operand(tensor, input.where()); };
  if (!training) {
    const Operand inputs[] = {
        input, at_call(running_mean), at_call(running_var), at_call(weight), at_call(bias)};
    BatchNormEval op;
    op.eps = eps;
    return {apply(make_op(op), {inputs, affine ? 5U : 3U}), running_mean, running_var};
  }
  const Operand inputs[] = {
      input,
      affine ? at_call(weight) : at_call(running_mean),
      affine ? at_call(bias) : at_call(running_var),
      at_call(running_mean),
      at_call(running_var)};
  BatchNormTrain op;
  op.affine = affine;
  op.tracked = tracked;
  op.momentum = momentum;
  op.eps = eps;
  Tensor outputs[4];
  apply(
      make_op(op),
      {inputs, 1U + (affine ? 2U : 0U) + (tracked ? 2U : 0U)},
      {outputs, tracked ? 4U : 2U});
  return {outputs[0], outputs[2], outputs[3]};
}

}  // namespace troupe
