#pragma once

#include <troupe/nn/module.hpp>
#include <troupe/nn/pair.hpp>

#include <cstdint>

namespace troupe::nn {

/// A convolution of images [N, in_channels, H, W], as torch.nn.Conv2d with zeros as padding.
/// Parameters weight [out, in / groups, KH, KW] and bias [out], both begun even in ±1/√fan_in.
///
/// Errors   `invalid_argument` for channels that do not divide into the groups and for sizes
/// below 1.
class Conv2d : public Layer<Conv2d> {
 public:
  Conv2d(
      std::int64_t in_channels,
      std::int64_t out_channels,
      Pair kernel_size,
      Pair stride = 1,
      Pair padding = 0,
      Pair dilation = 1,
      std::int64_t groups = 1,
      bool bias = true);

  [[nodiscard]] Tensor forward(const Operand& input) const;
  [[nodiscard]] const Parameter& weight() const noexcept { return weight_; }
  [[nodiscard]] const Parameter& bias() const noexcept { return bias_; }  ///< undefined: none

 private:
  Dims stride_;
  Dims padding_;
  Dims dilation_;
  std::int64_t groups_;
  Parameter weight_;
  Parameter bias_;
};

}  // namespace troupe::nn
