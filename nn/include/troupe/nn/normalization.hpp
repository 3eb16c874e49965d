#pragma once

#include <troupe/nn/module.hpp>

#include <cstdint>
#include <optional>
#include <string_view>

namespace troupe::nn {

/// Brings the last dimensions of each sample to mean 0 and variance 1, then to weight · x + bias.
/// Parameters weight (ones) and bias (zeros) of `normalized_shape`, unless `elementwise_affine` is
/// off.
class LayerNorm : public Layer<LayerNorm> {
 public:
  explicit LayerNorm(
      const Shape& normalized_shape,
      double eps = 1e-5,
      bool elementwise_affine = true,
      bool bias = true);
  /// Over the last dimension.
  explicit LayerNorm(
      std::int64_t features, double eps = 1e-5, bool elementwise_affine = true, bool bias = true)
      : LayerNorm(Shape{features}, eps, elementwise_affine, bias) {}

  [[nodiscard]] Tensor forward(const Operand& input) const;
  [[nodiscard]] const Parameter& weight() const noexcept { return weight_; }
  [[nodiscard]] const Parameter& bias() const noexcept { return bias_; }

 private:
  Shape normalized_shape_;
  double eps_;
  Parameter weight_;
  Parameter bias_;
};

/// Brings the last dimensions of each sample to a mean square of 1, then multiplies with weight.
/// Parameter weight (ones) of `normalized_shape`, unless `elementwise_affine` is off.
///
/// @param eps  none: the distance from 1 to the next number of the input's dtype
///
/// Source   Zhang and Sennrich 2019; torch.nn.RMSNorm.
class RMSNorm : public Layer<RMSNorm> {
 public:
  explicit RMSNorm(
      const Shape& normalized_shape,
      std::optional<double> eps = std::nullopt,
      bool elementwise_affine = true);
  /// Over the last dimension.
  explicit RMSNorm(
      std::int64_t features,
      std::optional<double> eps = std::nullopt,
      bool elementwise_affine = true)
      : RMSNorm(Shape{features}, eps, elementwise_affine) {}

  [[nodiscard]] Tensor forward(const Operand& input) const;
  [[nodiscard]] const Parameter& weight() const noexcept { return weight_; }

 private:
  Shape normalized_shape_;
  std::optional<double> eps_;
  Parameter weight_;
};

/// What BatchNorm1d and BatchNorm2d do: bring each channel, over batch and places, to mean 0 and
/// variance 1, then to weight · x + bias. While training, by the batch's statistics, which also
/// move the running ones; else by the running ones, if they are tracked. A forward pass reads the
/// running statistics and writes their next version in program order; in a capture both belong to
/// the program.
///
/// Parameters weight (ones) and bias (zeros); buffers running_mean (zeros), running_var (ones),
/// num_batches_tracked.
///
/// @param momentum  how much a batch moves the running statistics; none: they are the mean over all
/// batches
///
/// Errors   `shape_mismatch` for an input of another rank or other channels, and for one value per
///          channel while training.
class BatchNorm : public Module {
 public:
  [[nodiscard]] Tensor forward(const Operand& input) const;
  Tensor operator()(const Operand& input) const {
    const Call call(*this, input);
    Tensor output = forward(call.input());
    note_output(output);
    return output;
  }
  [[nodiscard]] const Parameter& weight() const noexcept { return weight_; }
  [[nodiscard]] const Parameter& bias() const noexcept { return bias_; }
  [[nodiscard]] const Parameter& running_mean() const noexcept { return running_mean_; }
  [[nodiscard]] const Parameter& running_var() const noexcept { return running_var_; }
  [[nodiscard]] const Parameter& num_batches_tracked() const noexcept { return batches_; }

 protected:
  BatchNorm(
      std::string_view type,
      std::int64_t num_features,
      double eps,
      std::optional<double> momentum,
      bool affine,
      bool track_running_stats,
      std::string_view layout,
      std::size_t rank_min,
      std::size_t rank_max);

 private:
  [[nodiscard]] Tensor forward_training(const Operand& input) const;

  std::string_view layout_;  // of the input, for errors: a literal
  std::size_t rank_min_;
  std::size_t rank_max_;
  double eps_;
  std::optional<double> momentum_;
  Parameter weight_;
  Parameter bias_;
  Parameter running_mean_;
  Parameter running_var_;
  Parameter batches_;
};

/// Of [N, C] or [N, C, L].
class BatchNorm1d : public BatchNorm {
 public:
  explicit BatchNorm1d(
      std::int64_t num_features,
      double eps = 1e-5,
      std::optional<double> momentum = 0.1,
      bool affine = true,
      bool track_running_stats = true);
};

/// Of images [N, C, H, W].
class BatchNorm2d : public BatchNorm {
 public:
  explicit BatchNorm2d(
      std::int64_t num_features,
      double eps = 1e-5,
      std::optional<double> momentum = 0.1,
      bool affine = true,
      bool track_running_stats = true);
};

}  // namespace troupe::nn
