#pragma once

#include <troupe/nn/module.hpp>
#include <troupe/nn/pair.hpp>

#include <cstdint>
#include <optional>

namespace troupe::nn {

/// The largest element of each window; no stride means the kernel's size.
class MaxPool2d : public Layer<MaxPool2d> {
 public:
  explicit MaxPool2d(
      Pair kernel_size,
      std::optional<Pair> stride = {},
      Pair padding = 0,
      Pair dilation = 1,
      bool ceil_mode = false);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  Pair kernel_size_;
  Pair stride_;
  Pair padding_;
  Pair dilation_;
  bool ceil_mode_;
};

/// The mean of each window; no stride means the kernel's size.
class AvgPool2d : public Layer<AvgPool2d> {
 public:
  explicit AvgPool2d(
      Pair kernel_size,
      std::optional<Pair> stride = {},
      Pair padding = 0,
      bool ceil_mode = false,
      bool count_include_pad = true);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  Pair kernel_size_;
  Pair stride_;
  Pair padding_;
  bool ceil_mode_;
  bool count_include_pad_;
};

/// The mean of as many windows as make an output of this height and width.
class AdaptiveAvgPool2d : public Layer<AdaptiveAvgPool2d> {
 public:
  explicit AdaptiveAvgPool2d(Pair output_size);
  [[nodiscard]] Tensor forward(const Operand& input) const;

 private:
  Pair output_size_;
};

}  // namespace troupe::nn
