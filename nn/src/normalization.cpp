#include "optional_parameter.hpp"
#include "text.hpp"

#include <troupe/core/error.hpp>
#include <troupe/nn/init.hpp>
#include <troupe/nn/normalization.hpp>
#include <troupe/tensor/ops/add.hpp>
#include <troupe/tensor/ops/batch_norm.hpp>
#include <troupe/tensor/ops/cast.hpp>
#include <troupe/tensor/ops/div.hpp>
#include <troupe/tensor/ops/layer_norm.hpp>
#include <troupe/tensor/ops/rms_norm.hpp>
#include <troupe/tensor/ops/sub.hpp>
#include <troupe/tensor/scope.hpp>

#include <string>

namespace troupe::nn {

// --- layer norm
// -----------------------------------------------------------------------------------

LayerNorm::LayerNorm(const Shape& normalized_shape, double eps, bool elementwise_affine, bool bias)
    : Layer(
          "LayerNorm",
          to_string(normalized_shape) + ", eps=" + text_of(eps) +
              ", elementwise_affine=" + text_of(elementwise_affine)),
      normalized_shape_(normalized_shape),
      eps_(eps) {
  weight_ = register_parameter(
      "weight", elementwise_affine ? Parameter(init::ones(normalized_shape)) : Parameter());
  bias_ = register_parameter(
      "bias", elementwise_affine && bias ? Parameter(init::zeros(normalized_shape)) : Parameter());
}

Tensor LayerNorm::forward(const Operand& input) const {
  return layer_norm(input, normalized_shape_, tensor_of(weight_), tensor_of(bias_), eps_);
}

// --- RMS norm
// -----------------------------------------------------------------------------------

RMSNorm::RMSNorm(const Shape& normalized_shape, std::optional<double> eps, bool elementwise_affine)
    : Layer(
          "RMSNorm",
          to_string(normalized_shape) + ", eps=" + (eps ? text_of(*eps) : "None") +
              ", elementwise_affine=" + text_of(elementwise_affine)),
      normalized_shape_(normalized_shape),
      eps_(eps) {
  weight_ = register_parameter(
      "weight", elementwise_affine ? Parameter(init::ones(normalized_shape)) : Parameter());
}

Tensor RMSNorm::forward(const Operand& input) const {
  return rms_norm(input, normalized_shape_, tensor_of(weight_), eps_);
}

// --- batch norm
// -----------------------------------------------------------------------------------

BatchNorm::BatchNorm(
    std::string_view type,
    std::int64_t num_features,
    double eps,
    std::optional<double> momentum,
    bool affine,
    bool track_running_stats,
    std::string_view layout,
    std::size_t rank_min,
    std::size_t rank_max)
    : Module(
          type,
          text_of(num_features) + ", eps=" + text_of(eps) + ", momentum=" +
              (momentum ? text_of(*momentum) : "None") + ", affine=" + text_of(affine) +
              ", track_running_stats=" + text_of(track_running_stats)),
      layout_(layout),
      rank_min_(rank_min),
      rank_max_(rank_max),
      eps_(eps),
      momentum_(momentum) {
  if (num_features < 1)
    throw Error(
        ErrorCode::invalid_argument,
        this->type() + "(" + description() + "): there must be a channel");
  const Shape channels{num_features};
  weight_ = register_parameter("weight", affine ? Parameter(init::ones(channels)) : Parameter());
  bias_ = register_parameter("bias", affine ? Parameter(init::zeros(channels)) : Parameter());
  if (!track_running_stats) return;
  running_mean_ = register_buffer("running_mean", init::zeros(channels));
  running_var_ = register_buffer("running_var", init::ones(channels));
  batches_ = register_buffer("num_batches_tracked", init::zeros({}, DType::int64));
}

Tensor BatchNorm::forward(const Operand& input) const {
  const std::size_t rank = input.is_number() ? 0 : input.tensor().rank();
  if (rank < rank_min_ || rank > rank_max_)
    throw Error(
        ErrorCode::shape_mismatch,
        type() + " takes " + std::string(layout_) + ", not " +
            (input.is_number() ? "a number" : to_string(input.tensor().shape())))
        .at(input.where().file, input.where().line);
  if (training()) return forward_training(input);
  // Without running statistics the batch's own serve here too, as in PyTorch.
  return batch_norm(
             input,
             tensor_of(running_mean_),
             tensor_of(running_var_),
             tensor_of(weight_),
             tensor_of(bias_),
             !running_mean_,
             0,
             eps_)
      .y;
}

Tensor BatchNorm::forward_training(const Operand& input) const {
  // With no momentum the batch's statistics come as they are, and are averaged below.
  BatchNormResult result = batch_norm(
      input,
      tensor_of(running_mean_),
      tensor_of(running_var_),
      tensor_of(weight_),
      tensor_of(bias_),
      true,
      momentum_.value_or(1),
      eps_);
  if (!running_mean_) return result.y;

  const NoGrad no_grad;
  Parameter mean = running_mean_;
  Parameter var = running_var_;
  Parameter batches = batches_;
  batches.set(batches.tensor() + 1);
  if (!momentum_) {
    const Tensor count = cast(batches.tensor(), mean.dtype());
    const auto averaged = [&](const Parameter& old, const Tensor& batch) {
      return old.tensor() + (batch - old.tensor()) / count;
    };
    result.running_mean = averaged(mean, result.running_mean);
    result.running_var = averaged(var, result.running_var);
  }
  mean.set(result.running_mean);
  var.set(result.running_var);
  return result.y;
}

BatchNorm1d::BatchNorm1d(
    std::int64_t num_features,
    double eps,
    std::optional<double> momentum,
    bool affine,
    bool track_running_stats)
    : BatchNorm(
          "BatchNorm1d",
          num_features,
          eps,
          momentum,
          affine,
          track_running_stats,
          "[N, C] or [N, C, L]",
          2,
          3) {}

BatchNorm2d::BatchNorm2d(
    std::int64_t num_features,
    double eps,
    std::optional<double> momentum,
    bool affine,
    bool track_running_stats)
    : BatchNorm(
          "BatchNorm2d",
          num_features,
          eps,
          momentum,
          affine,
          track_running_stats,
          "[N, C, H, W]",
          4,
          4) {}

}  // namespace troupe::nn
